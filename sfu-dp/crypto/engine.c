// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/crypto/engine.h"

#include <string.h>

/* Preferred first; the last is usable everywhere. */
static const struct srtp_engine *const engines[] = {
#ifdef HAVE_IPSEC_MB
	&srtp_engine_ipsec_mb,
#endif
	&srtp_engine_libsrtp2,
};

#define NUM_ENGINES (sizeof(engines) / sizeof(engines[0]))

const struct srtp_engine *srtp_engine_at(unsigned place)
{
	for (size_t i = 0; i < NUM_ENGINES; i++) {
		if (engines[i]->usable() && place-- == 0)
			return engines[i];
	}
	return NULL;
}

const struct srtp_engine *srtp_engine_find(const char *name)
{
	const struct srtp_engine *engine;

	if (!name || strcmp(name, "auto") == 0)
		return srtp_engine_at(0);
	for (unsigned i = 0; (engine = srtp_engine_at(i)); i++) {
		if (strcmp(engine->name, name) == 0)
			return engine;
	}
	return NULL;
}

enum srtp_status srtp_engine_derive(srtp_prf_fn prf, srtp_create_session_fn create_session,
	const struct srtp_profile *profile, const uint8_t *key, const uint8_t *salt,
	struct srtp_ctx **ctx)
{
	struct srtp_keys rtp, rtcp;
	enum srtp_status st;

	if (!profile || srtp_profile_find(profile->id) != profile)
		return SRTP_UNSUPPORTED;
	st = srtp_keys_derive(profile, key, salt, prf, NULL, &rtp, &rtcp);
	if (st != SRTP_OK)
		return st;
	st = create_session(profile, &rtp, &rtcp, ctx);
	srtp_wipe(&rtp, sizeof(rtp));
	srtp_wipe(&rtcp, sizeof(rtcp));
	return st;
}
