// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/path/path.h"
#include "sfu-dp/worker.h"

const char *const drop_names[DROP_COUNT] = {
#define X(name, text) #name,
	DROP_LIST(X)
#undef X
};

const char *const drop_texts[DROP_COUNT] = {
#define X(name, text) text,
	DROP_LIST(X)
#undef X
};

const char *const edge_names[EDGE_COUNT] = {
#define X(name, text) #name,
	EDGE_LIST(X)
#undef X
};

const char *const edge_texts[EDGE_COUNT] = {
#define X(name, text) text,
	EDGE_LIST(X)
#undef X
};

void path_drop(struct worker *w, struct rte_mbuf *m, enum drop_reason reason)
{
	w->count.drop[reason]++;
	rte_pktmbuf_free(m);
}

void path_drop_burst(struct worker *w, struct rte_mbuf **m, unsigned n, enum drop_reason reason)
{
	w->count.drop[reason] += n;
	rte_pktmbuf_free_bulk(m, n);
}
