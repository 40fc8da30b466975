// SPDX-License-Identifier: BSD-3-Clause
/**
 * Settings of sfu-dp. One table (config.c) makes the parser, --help and dp-cli show config.
 * Command line over environment over file; names are those of the environment.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_TEXT_BYTES 256u

/** As resolved at start; read only afterwards, any thread. */
struct config {
	char link[CONFIG_TEXT_BYTES]; /* Unix socket of the link */
	char link_group[CONFIG_TEXT_BYTES]; /* group allowed to attach, "" = same user only */
	char cli[CONFIG_TEXT_BYTES]; /* Unix socket of dp-cli */
	char device[CONFIG_TEXT_BYTES]; /* vdev with arguments, or a PCI address */
	char address[CONFIG_TEXT_BYTES]; /* our addresses, comma separated */
	char announced[CONFIG_TEXT_BYTES]; /* what clients are told; "" = address */
	char hugepages[CONFIG_TEXT_BYTES]; /* auto, on, off */
	char polling[CONFIG_TEXT_BYTES]; /* adaptive, busy */
	char turn_clock[CONFIG_TEXT_BYTES]; /* cycles, processor */
	char engine[CONFIG_TEXT_BYTES]; /* SRTP engine */
	char lcores[CONFIG_TEXT_BYTES]; /* EAL --lcores; "" = float over all processors */
	char eal[CONFIG_TEXT_BYTES]; /* further EAL arguments */
	char log_level[CONFIG_TEXT_BYTES];
	char standby[CONFIG_TEXT_BYTES]; /* on, off */
	uint32_t media_port;
	uint32_t consent_sec;
	uint32_t workers;
	uint32_t memory_mb;
	uint32_t mbufs;
	uint32_t history_packets; /* 0 = half of mbufs */
	uint32_t history_ms;
	uint32_t max_rooms, max_peers, max_transports, max_producers, max_consumers;
};

/**
 * Read file (when given by --config or SFU_DP_CONFIG), environment and command line.
 * On an error one line on err names the key, the value and what is allowed.
 * @return 0 go on, 1 --help was printed: exit 0, -EINVAL error: exit 2
 */
int config_load(struct config *c, int argc, char **argv, FILE *out, FILE *err);

/** One "key value" line per setting, in the order of the table. No secrets among them. */
void config_each(const struct config *c,
	void (*each)(void *ctx, const char *key, const char *value), void *ctx);
