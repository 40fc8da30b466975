// SPDX-License-Identifier: BSD-3-Clause
/* Join tokens: vectors made by Python's hmac and base64, and every way to spoil one. */
#include "sfu-ctl/jointoken.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define NOW_MS 1000000u

/* Signed with SECRET, looked at by "ann" who wants to join "room". */
static const struct {
	const char *name, *token;
	enum jointoken_status status;
	const char *call_id;
} vectors[] = {
	{"as the service makes it",
		"eyJyb29tSWQiOiJyb29tIiwiY2FsbElkIjoiY2FsbCIsImFsbG93ZWRVc2VySWRzIjpbImFubiIsImJvYi"
		"JdLCJqdGkiOiIwMDAwMDAwMC0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMDAiLCJleHAiOjIwMDB9."
		"jxzk7dfB93c_K1b3XPrAyLR5wgohY_W0wkh4HnhmcEU",
		JOINTOKEN_OK, "call"},
	{"for whoever has it",
		"eyJyb29tSWQiOiJyb29tIiwiY2FsbElkIjoiY2FsbCIsImFsbG93ZWRVc2VySWRzIjpbXSwianRpIjoieC"
		"IsImV4cCI6MjAwMH0.eykJw6B5PPszuBTjDNwY1AfgMbUunLxLrKeBOvgFm9o",
		JOINTOKEN_OK, "call"},
	{"of the gateway, for one user",
		"eyJyb29tSWQiOiJyb29tIiwidXNlcklkIjoiYW5uIiwiZXhwIjoyMDAwLjV9.I_Cv34Z8EB_"
		"M9QPcqj8LoLBBN3sQiyVe_zIjBBK6gso",
		JOINTOKEN_OK, ""},
	{"for another user",
		"eyJyb29tSWQiOiJyb29tIiwiYWxsb3dlZFVzZXJJZHMiOlsiYm9iIl0sImV4cCI6MjAwMH0.xrS-"
		"zYYqttsPqQwahR7YAuQBdqJlAfHy_BU7_VWjUdU",
		JOINTOKEN_OTHER_USER, ""},
	{"of the gateway, for another user",
		"eyJyb29tSWQiOiJyb29tIiwidXNlcklkIjoiYm9iIiwiZXhwIjoyMDAwfQ.s1OSAJ_"
		"3fwfxTGEABDhVNtQvpVcYRvaUGbOjsKANYsg",
		JOINTOKEN_OTHER_USER, ""},
	{"a list goes before one user",
		"eyJyb29tSWQiOiJyb29tIiwiYWxsb3dlZFVzZXJJZHMiOlsiYm9iIl0sInVzZXJJZCI6ImFubiIsImV4cC"
		"I6MjAwMH0.AIL19ikv47DGiTTLXiRHZAR60nvPhKkpcUpWf27lSqY",
		JOINTOKEN_OTHER_USER, ""},
	{"user is no string",
		"eyJyb29tSWQiOiJyb29tIiwidXNlcklkIjo3LCJleHAiOjIwMDB9.6J32XtgVHggSNAU-keATVP-"
		"y5vgfqqRYY5WEN37INww",
		JOINTOKEN_OTHER_USER, ""},
	{"list of numbers",
		"eyJyb29tSWQiOiJyb29tIiwiYWxsb3dlZFVzZXJJZHMiOls3XSwiZXhwIjoyMDAwfQ."
		"loGwlWEaGi8QvUJi4h0lxURz21nj9Tv-JFAcvyLbl9U",
		JOINTOKEN_OTHER_USER, ""},
	{"a user with more behind a NUL",
		"eyJyb29tSWQiOiJyb29tIiwiYWxsb3dlZFVzZXJJZHMiOlsiYW5uXHUwMDAweCJdLCJleHAiOjIwMDB9."
		"Yru4pD0w3B4m_SdP-4_PcB-KhRVjbYL2kPB812brBdM",
		JOINTOKEN_INVALID, ""},
	{"expires now",
		"eyJyb29tSWQiOiJyb29tIiwiZXhwIjoxMDAwfQ."
		"CyaTx8523TZsgT0fl2MgiIi1cgaGu91EBNgwxlTXKkA",
		JOINTOKEN_INVALID, ""},
	{"expires next",
		"eyJyb29tSWQiOiJyb29tIiwiZXhwIjoxMDAwLjAwMX0.6DHSbq6ernt6NXfpRhIoYc25ogj7_"
		"pnLRsQdBCqxphY",
		JOINTOKEN_OK, ""},
	{"exp is a string",
		"eyJyb29tSWQiOiJyb29tIiwiZXhwIjoiMjAwMCJ9.CKwgriSV_"
		"TSZ9Vpa0PUaSzE0AFadc0uI2tXZ0d82LQQ",
		JOINTOKEN_INVALID, ""},
	{"exp is no number that a double holds",
		"eyJyb29tSWQiOiJyb29tIiwiZXhwIjoxZTQwMH0.pGN9QdZmrTpLFWbz7TOfCpGR3des_jTNHzet5qt_f_"
		"w",
		JOINTOKEN_INVALID, ""},
	{"no exp", "eyJyb29tSWQiOiJyb29tIn0.w9pvv2bTBXLAWWYl1TgFAo0pGf-7uybCu9QDerWlDHE",
		JOINTOKEN_INVALID, ""},
	{"of another room",
		"eyJyb29tSWQiOiJyb29tcyIsImV4cCI6MjAwMH0.ln9HdH_FTUro9O8ue6vQGVI1Ktja2v5_"
		"VTwijqKI2g4",
		JOINTOKEN_INVALID, ""},
	{"room is a number",
		"eyJyb29tSWQiOjUsImV4cCI6MjAwMH0.onpMeRrk-U42frjRek67DgK4Fk8rsqJxHyeFP7qfVEo",
		JOINTOKEN_INVALID, ""},
	{"no room", "eyJleHAiOjIwMDB9.O5qFooLBI8erufD-sg_IiuNT20u9RabTWmHXhvShkmI",
		JOINTOKEN_INVALID, ""},
	{"a key twice",
		"eyJyb29tSWQiOiJvdGhlciIsInJvb21JZCI6InJvb20iLCJleHAiOjIwMDB9.CRCPuwoMJHWcj_"
		"bgHHswO5cRxbyfqGuZhych1U4gRxE",
		JOINTOKEN_INVALID, ""},
	{"an array", "WzFd.9W87pnkMYJmebW95xe27madVzq2NPeXN-xvVrJ-2NNI", JOINTOKEN_INVALID, ""},
	{"no JSON", "cm9vbQ.ngJw9C3M0IM5zUwvsRA8XOYsnKPbc7zm1o0NjKQSA_4", JOINTOKEN_INVALID, ""},
	{"nothing", ".eWzTB4rxRjZ1PSaztVVUIv9Vo-Jhz4R7SOlTcbm9CqI", JOINTOKEN_INVALID, ""},
	{"callId is no string",
		"eyJyb29tSWQiOiJyb29tIiwiY2FsbElkIjp7ImEiOjF9LCJleHAiOjIwMDB9.NNsuxM_"
		"lNy0iPadR1aJDZZIvR6VgA-IUKkr-qCrvV84",
		JOINTOKEN_OK, ""},
	{"callId is too long",
		"eyJyb29tSWQiOiJyb29tIiwiY2FsbElkIjoiY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2"
		"NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2Nj"
		"Y2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjIiwiZXhwIjoyMDAwfQ.ati6j_rLCr_"
		"3UWQm3PiSEMBFr1U8V-kQPZ7fpfLTOiw",
		JOINTOKEN_OK, ""},
};

static enum jointoken_status verify(const char *token, size_t len, char *call_id)
{
	// An exact copy, so that reading past its end is seen.
	char *copy = malloc(len == 0 ? 1 : len);
	enum jointoken_status status;

	memcpy(copy, token, len);
	status = jointoken_verify(SECRET, copy, len, NOW_MS, "room", "ann", call_id);
	free(copy);
	return status;
}

static void test_vectors(void **state)
{
	char call_id[ENV_MSG_ID_MAX_BYTES + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		enum jointoken_status status
			= verify(vectors[i].token, strlen(vectors[i].token), call_id);

		if (status != vectors[i].status)
			fail_msg("%s: %d", vectors[i].name, status);
		assert_string_equal(call_id, vectors[i].call_id);
	}
}

static void test_sign(void **state)
{
	struct json_object *users = json_tokener_parse("[\"ann\",\"bob\"]");
	const struct jointoken t
		= {"room", "call", users, "00000000-0000-4000-8000-000000000000", 2000};
	char *token = jointoken_sign(SECRET, &t);

	(void)state;
	assert_string_equal(token, vectors[0].token);
	free(token);
	json_object_put(users);
}

/* Payloads of every length modulo 3, read back. */
static void test_round_trip(void **state)
{
	char call[64] = "", call_id[ENV_MSG_ID_MAX_BYTES + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(call) - 1; i++) {
		const struct jointoken t = {"room", call, NULL, "id", 2000};
		char *token = jointoken_sign(SECRET, &t);

		assert_non_null(token);
		assert_null(strpbrk(token, "=+/"));
		assert_int_equal(verify(token, strlen(token), call_id), JOINTOKEN_OK);
		assert_string_equal(call_id, call);
		free(token);
		call[i] = (char)('a' + i % 26);
	}
}

static void test_spoilt(void **state)
{
	const char *good = vectors[0].token;
	size_t len = strlen(good);
	char call_id[ENV_MSG_ID_MAX_BYTES + 1];
	char spoilt[1024];

	(void)state;
	assert_true(len < sizeof(spoilt));
	for (size_t i = 0; i < len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			memcpy(spoilt, good, len);
			spoilt[i] = (char)(spoilt[i] ^ (1 << bit));
			assert_int_equal(verify(spoilt, len, call_id), JOINTOKEN_INVALID);
		}
		assert_int_equal(verify(good, i, call_id), JOINTOKEN_INVALID);
		assert_int_equal(verify(good + i + 1, len - i - 1, call_id), JOINTOKEN_INVALID);
	}
	snprintf(spoilt, sizeof(spoilt), "%s=", good);
	assert_int_equal(verify(spoilt, len + 1, call_id), JOINTOKEN_INVALID);
	assert_int_equal(jointoken_verify("another secret, as long as the first", good, len, NOW_MS,
				 "room", "ann", call_id),
		JOINTOKEN_INVALID);
	assert_int_equal(verify("", 0, call_id), JOINTOKEN_INVALID);
	assert_int_equal(verify(".", 1, call_id), JOINTOKEN_INVALID);
}

/* Longer than anything we make: not even hashed. */
static void test_too_long(void **state)
{
	size_t len = JOINTOKEN_MAX_BYTES + 1;
	char call_id[ENV_MSG_ID_MAX_BYTES + 1];
	char *token = malloc(len);

	(void)state;
	memset(token, 'A', len);
	token[len - 44] = '.';
	assert_int_equal(verify(token, len, call_id), JOINTOKEN_INVALID);
	free(token);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_sign),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_spoilt),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
