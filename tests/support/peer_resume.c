// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/peer_impl.h"
#include "tests/support/peer_params.h"

#include <glib.h>

#define RETRY_US 100000
#define GIVE_UP_US 20000000
/** Of a patient one. */
#define GIVE_UP_LATE_US 120000000

bool peer_resume_lost(struct peer *p)
{
	uint64_t now_us = (uint64_t)g_get_monotonic_time();

	if (!p->env->options->resume || !p->is_joined || !*p->resume_token)
		return false;
	if (!p->signal_lost_us)
		p->signal_lost_us = now_us;
	p->signal_gone = true;
	p->reconnect_us = now_us + RETRY_US;
	return true;
}

void peer_resume_hello(const struct peer *p, json_object *payload, json_object *ext)
{
	json_object *resume;

	if (!p->env->options->resume)
		return;
	json_object_array_add(ext, json_object_new_string("resume"));
	if (!p->signal_lost_us)
		return;
	resume = json_object_new_object();
	json_object_object_add(resume, "resumeToken", json_object_new_string(p->resume_token));
	json_object_object_add(payload, "resume", resume);
}

bool peer_resume_welcome(struct peer *p, json_object *welcome)
{
	json_object *resumed = NULL;

	g_strlcpy(p->resume_token, params_text(welcome, "resumeToken"), sizeof(p->resume_token));
	return !p->signal_lost_us
	       || (json_object_object_get_ex(welcome, "resumed", &resumed)
		       && json_object_get_boolean(resumed));
}

bool peer_resume_done(struct peer *p)
{
	uint64_t after_us;

	if (!p->signal_lost_us)
		return false;
	after_us = (uint64_t)g_get_monotonic_time() - p->signal_lost_us;
	p->signal_lost_us = 0;
	p->stats.resumes++;
	p->stats.resumed_after_us = MAX(p->stats.resumed_after_us, after_us);
	return true;
}

void peer_resume_tick(struct peer *p, uint64_t now_us)
{
	if (p->signal_gone) {
		p->signal_gone = false;
		peer_signal_destroy(p->signal);
		p->signal = NULL;
	}
	if (!p->reconnect_us || now_us < p->reconnect_us)
		return;
	p->reconnect_us = 0;
	if (now_us > p->signal_lost_us + (p->env->options->patient ? GIVE_UP_LATE_US : GIVE_UP_US))
		peer_lose(p, "the server cannot be reached any more");
	else
		peer_start(p);
}
