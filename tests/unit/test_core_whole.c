// SPDX-License-Identifier: BSD-3-Clause
/* Part B of protocol.md: what operators switch on and what clients ask for, row by row. */
#include "tests/unit/core_rows.h"
#include "tests/unit/core_script.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs these before it
#include <setjmp.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define LEADER "policy=1"
#define QUORUM "policy=2"

#define B64 "'QUJDREVGR0hJSktMTU5PUFFSU1Q='"
#define PACKAGE(more)                                                                              \
	"KEY_PACKAGE {'targetDeviceId':'dev-B','epoch':1,'ciphertext':" B64 ",'sig':" B64          \
	",'senderPublicKey':" B64 more "}\n"
#define BAD_PACKAGE(field, more)                                                                   \
	{                                                                                          \
		"B5 SFU_KEY_STRICT KEY_PACKAGE: " field " " more, 0, "key_strict=1",               \
			READY("A", "a")                                                            \
				READY("B", "b") "A~\nA> KEY_PACKAGE {" more                        \
						"}\nA< ACK KEY_PACKAGE_INVALID {'message':"        \
						"'Missing or invalid " field                       \
						"','retryable':false,'details':{}}\nA-\nB-\n"      \
	}

static const struct script key_rows[] = {
	{"B5 SFU_KEY_STRICT: a whole KEY_PACKAGE", 0, "key_strict=1",
		READY("A", "a") READY("B", "b") "A~\nA> " PACKAGE(
			"") "A< ACK ok\nA-\nB< KEY_PACKAGE {'epoch':1}\n"},
	BAD_PACKAGE("ciphertext", ""),
	BAD_PACKAGE("ciphertext", "'targetDeviceId':'dev-B','epoch':1,'ciphertext':'short'"),
	BAD_PACKAGE("ciphertext", "'targetDeviceId':'dev-B','epoch':1,'ciphertext':7"),
	BAD_PACKAGE("epoch", "'ciphertext':" B64),
	BAD_PACKAGE("epoch", "'ciphertext':" B64 ",'epoch':-1"),
	BAD_PACKAGE("epoch", "'ciphertext':" B64 ",'epoch':'1'"),
	BAD_PACKAGE("sig", "'ciphertext':" B64 ",'epoch':1"),
	BAD_PACKAGE("sig", "'ciphertext':" B64 ",'epoch':1,'sig':'not base64, but long enough'"),
	BAD_PACKAGE("sig", "'ciphertext':" B64 ",'epoch':1,'sig':'QUJDREVGR0hJSktMTU5PUFFS=SU'"),
	BAD_PACKAGE("senderPublicKey", "'ciphertext':" B64 ",'epoch':1,'sig':" B64),
	BAD_PACKAGE("targetDeviceId",
		"'ciphertext':" B64 ",'epoch':1,'sig':" B64 ",'senderPublicKey':" B64),
	{"B5 without SFU_KEY_STRICT the payload is opaque", 0, "",
		READY("A", "a") READY("B", "b") "A~\nA> KEY_PACKAGE {'targetDeviceId':'dev-B',"
						"'epoch':-1,'sig':7,'ciphertext':9}\nA< ACK ok\nB< "
						"KEY_PACKAGE {'epoch':-1,'sig':7}\n"},
	{"B5 SFU_KEY_STRICT KEY_ACK: epoch and fromDeviceId", 0, "key_strict=1",
		READY("A", "a") READY("B",
			"b") "A~\nA> KEY_ACK {'epoch':1}\nA< ACK KEY_ACK_INVALID\n"
			     "A> KEY_ACK {'fromDeviceId':'dev-A'}\nA< ACK KEY_ACK_INVALID "
			     "{'message':'Missing or invalid epoch'}\n"
			     "A> KEY_ACK {'fromDeviceId':'dev-A','epoch':-1}\nA< ACK "
			     "KEY_ACK_INVALID\nA> KEY_ACK {'fromDeviceId':'dev-A','epoch':'1'}\n"
			     "A< ACK KEY_ACK_INVALID\nA-\nB-\n"
			     "A> KEY_ACK {'fromDeviceId':'dev-A','epoch':0}\nA< KEY_ACK\nA< ACK "
			     "ok\nB< KEY_ACK\n"},
	{"B5 KEY_ACK in the name of another, in every mode", 0, "",
		READY("A", "a") READY("B", "b") "A~\nA> KEY_ACK {'fromDeviceId':'dev-B'}\nA< ACK "
						"KEY_ACK_INVALID {'retryable':false}\nB-\n"},
	{"B5 the gateway's name of the target", 0, "",
		READY("A", "a") READY("B", "b") "A~\nA> KEY_PACKAGE {'toDeviceId':'dev-B'}\nA< ACK "
						"ok\nA-\nB< KEY_PACKAGE\n"},
	{"B5 SFU_KEY_PACKAGE_RATE per device and 60 s", 0, "key_rate=2",
		READY("A", "a") READY("B",
			"b") "A~\nA> KEY_PACKAGE {'targetDeviceId':'dev-B'}\nA< ACK ok\n"
			     "A> KEY_PACKAGE {'targetDeviceId':'dev-B'}\nA< ACK ok\n"
			     "A> KEY_PACKAGE {'targetDeviceId':'dev-B'}\nA< ACK RATE_LIMITED "
			     "{'message':'Too many key packages','retryable':true}\n"
			     "B> KEY_PACKAGE {'targetDeviceId':'dev-A'}\nA< KEY_PACKAGE\ntime "
			     "59999\nA> KEY_PACKAGE {'targetDeviceId':'dev-B'}\nA< ACK "
			     "RATE_LIMITED\ntime 1\nA> KEY_PACKAGE {'targetDeviceId':'dev-B'}\n"
			     "A< ACK ok\nA-\n"},
	{"B5 … a new connection starts no new window", 0, "key_rate=1",
		READY("A", "a") "A> KEY_PACKAGE\nA~\nclose A\n" READY("A",
			"a") "A> KEY_PACKAGE\nA< ACK RATE_LIMITED\nA> HELLO "
			     "{'client':{'deviceId':'other'}}\nA~\nA> ROOM_JOIN {'roomId':'room'}"
			     "\nA~\nA> KEY_PACKAGE\nA< KEY_PACKAGE\nA< ACK ok\n"},
	{"B5 SFU_KEY_PACKAGE_RATE=0: any number", 0, "key_rate=0",
		READY("A",
			"a") "A> KEY_PACKAGE\nA> KEY_PACKAGE\nA> KEY_PACKAGE\nA< KEY_PACKAGE\n"
			     "A< ACK ok\nA< KEY_PACKAGE\nA< ACK ok\nA< KEY_PACKAGE\nA< ACK ok\n"},
	{"B5 SFU_REKEY_BEGIN_RATE", 0, "begin_rate=1",
		READY("A", "a") "A> REKEY_BEGIN\nA< REKEY_BEGIN\nA< ACK ok\nA> REKEY_BEGIN\nA< ACK "
				"RATE_LIMITED {'message':'Too many rekey operations',"
				"'retryable':true}\nA> REKEY_COMMIT {'epoch':1}\nA< "
				"REKEY_COMMIT\nA< ACK ok\ntime 60000\nA> REKEY_BEGIN\nA< "
				"REKEY_BEGIN\nA< ACK ok\n"},
	{"B5 C8 policy relay: nothing is required, nothing aborted", 0, "",
		READY("A", "a") READY("B", "b") "A< PEER_JOINED\nA-\nA> REKEY_BEGIN {'epoch':1}\n"
						"A~\nB~\ntime 100000\nA-\nB-\nclose A\nB< "
						"PEER_LEFT\nB-\n"},
};

#define REQUIRED(a, reason, epoch, leader)                                                         \
	a "= {'type':'REKEY_REQUIRED','seq':'-','payload':{'roomId':'room','reason':'" reason      \
	  "','epoch':" epoch ",'leaderDeviceId':'" leader "'}}\n"
#define ABORT(a, epoch, reason)                                                                    \
	a "= {'type':'REKEY_ABORT','seq':'-','payload':{'roomId':'room','attemptedEpoch':" epoch   \
	  ",'reason':'" reason "'}}\n"
/* Two or three members, all frames looked at. */
#define TWO READY("A", "a") READY("B", "b") "A~\nB~\n"
#define THREE READY("A", "a") READY("B", "b") READY("C", "c") "A~\nB~\nC~\n"
/* A begins epoch 1; its msgId as the others see it is $begin. */
#define BEGIN_TWO                                                                                  \
	"A> REKEY_BEGIN {'epoch':1}\nA= {'type':'REKEY_BEGIN','msgId':'$begin'}\nA< ACK ok\n"      \
	"B= {'msgId':'$begin'}\n"
#define BEGIN_THREE BEGIN_TWO "C= {'msgId':'$begin'}\n"
#define ACK_BEGIN(a)                                                                               \
	a "> KEY_ACK {'epoch':1,'fromDeviceId':'dev-" a "','refId':'$begin'}\n" a "< KEY_ACK\n" a  \
	  "< ACK ok\n"

static const struct script policy_rows[] = {
	{"B5 C27 leader: REKEY_REQUIRED when a member joins, after the ACK", 0, LEADER,
		MEMBER("A", "a") IN("B", "b") "A-\nB> ROOM_JOIN {'roomId':'room'}\nB< "
					      "ROOM_JOIN_OK\nB< E2EE_POLICY\nB< ROOM_SNAPSHOT\n"
					      "B< ACK ok\n" REQUIRED("B", "member_join", "0",
						      "dev-A") "B-\nA< PEER_JOINED\n" REQUIRED("A",
						      "member_join", "0", "dev-A") "A-\n"},
	{"B5 C30 … when one leaves, with the leader that is left", 0, LEADER,
		THREE "close A\nB< PEER_LEFT\n" REQUIRED(
			"B", "member_leave", "0", "dev-B") "B-\nC< PEER_LEFT\n" REQUIRED("C",
			"member_leave", "0", "dev-B") "C-\n"},
	{"B5 … by ROOM_LEAVE too", 0, LEADER,
		TWO "A> ROOM_LEAVE\nA< ROOM_LEFT\nA< ACK ok\nA-\nB< PEER_LEFT\n" REQUIRED(
			"B", "member_leave", "0", "dev-B") "B-\n"},
	{"B5 … when a device joins again", 0, LEADER,
		TWO "B> ROOM_JOIN {'roomId':'room'}\nB~\nA< PEER_JOINED\n" REQUIRED(
			"A", "member_join", "0", "dev-A") "A-\n"},
	{"B5 C8 leader: BEGIN and COMMIT of another", 0, LEADER,
		TWO "B> REKEY_BEGIN {'epoch':1}\nB< ACK UNAUTHORIZED {'message':'Not the rekey "
		    "leader','retryable':false}\nB> REKEY_COMMIT {'epoch':1}\nB< ACK UNAUTHORIZED "
		    "{'message':'Not the rekey leader'}\nB> REKEY_COMMIT {'epoch':0}\nB< ACK "
		    "UNAUTHORIZED\nA-\nB-\n"},
	{"B5 leader: the leader may commit without a BEGIN", 0, LEADER,
		TWO "A> REKEY_COMMIT {'epoch':1}\nA< REKEY_COMMIT\nA< ACK ok\nA-\nB< "
		    "REKEY_COMMIT\nB-\ntime 100000\nA-\nB-\n"},
	{"B5 leader: no acknowledgements are needed", 0, LEADER,
		TWO BEGIN_TWO "A> REKEY_COMMIT {'epoch':1}\nA< REKEY_COMMIT\nA< ACK ok\nA-\nB< "
			      "REKEY_COMMIT\nB-\ntime 100000\nA-\nB-\n"},
	{"B5 leader: the next in join order leads when the first goes", 0, LEADER,
		TWO "close A\nB~\nB> REKEY_BEGIN {'epoch':1}\nB< REKEY_BEGIN\nB< ACK ok\n"
		    "B> REKEY_COMMIT {'epoch':1}\nB< REKEY_COMMIT\nB< ACK ok\nB-\n"},
	{"B5 with a policy BEGIN and COMMIT need an epoch", 0, LEADER,
		TWO "A> REKEY_BEGIN\nA< ACK VALIDATION_FAILED {'message':'Missing or invalid "
		    "epoch'}\nA> REKEY_BEGIN {'epoch':'1'}\nA< ACK VALIDATION_FAILED\nA> "
		    "REKEY_COMMIT\nA< ACK VALIDATION_FAILED\nA> REKEY_COMMIT {'epoch':'1'}\nA< ACK "
		    "VALIDATION_FAILED\nA-\nB-\n"},
	{"B5 BEGIN for an epoch that does not rise", 0, LEADER,
		TWO "A> REKEY_COMMIT {'epoch':3}\nA~\nB~\nA> REKEY_BEGIN {'epoch':3}\nA< ACK "
		    "E2EE_EPOCH_MISMATCH {'details':{'expectedEpoch':4},'retryable':true}\nA> "
		    "REKEY_BEGIN {'epoch':2}\nA< ACK E2EE_EPOCH_MISMATCH\nA> REKEY_BEGIN "
		    "{'epoch':3.5}\nA< ACK E2EE_EPOCH_MISMATCH\nA-\nB-\n"},
	{"B5 newEpoch, as in the documents", 0, LEADER,
		TWO "A> REKEY_BEGIN {'newEpoch':1}\nA< REKEY_BEGIN\nA< ACK ok\nB< REKEY_BEGIN\n"},
	{"B5 COMMIT of another epoch than was begun", 0, LEADER,
		TWO BEGIN_TWO "A> REKEY_COMMIT {'epoch':2}\nA< ACK E2EE_EPOCH_MISMATCH "
			      "{'details':{'expectedEpoch':1}}\nA-\nB-\n"},
	{"B5 C8 quorum: COMMIT before all have acknowledged", 0, QUORUM,
		THREE BEGIN_THREE
		"A> REKEY_COMMIT {'epoch':1}\nA< ACK E2EE_KEY_SYNC_FAILED {'retryable':true,"
		"'details':{'ack':0,'need':2}}\n" ACK_BEGIN("B") "A~\nC~\nA> REKEY_COMMIT "
								 "{'epoch':1}\nA< ACK "
								 "E2EE_KEY_SYNC_FAILED "
								 "{'details':{'ack':1,'need':2}}\n"
								 "A-\nB-\nC-\n"},
	{"B5 quorum: COMMIT after all; a snapshot without seq follows", 0, QUORUM,
		TWO BEGIN_TWO ACK_BEGIN("B") "A~\nA> REKEY_COMMIT {'epoch':1}\nA< REKEY_COMMIT\nA< "
					     "ACK ok\nA= {'type':'ROOM_SNAPSHOT','seq':'-',"
					     "'payload':{'epoch':1,'roomVersion':3}}\nA-\nB< "
					     "REKEY_COMMIT\nB= {'type':'ROOM_SNAPSHOT','seq':'-'}\n"
					     "B-\ntime 100000\nA-\nB-\n"},
	{"B5 quorum: a KEY_ACK of the KEY_PACKAGE counts as well", 0, QUORUM,
		TWO BEGIN_TWO
		"A> KEY_PACKAGE {'targetDeviceId':'dev-B'}\nA< ACK ok\nB= {'type':'KEY_PACKAGE',"
		"'msgId':'$package'}\nB> KEY_ACK {'epoch':1,'refId':'$package'}\nB~\nA~\n"
		"A> REKEY_COMMIT {'epoch':1}\nA< REKEY_COMMIT\nA< ACK ok\n"},
	{"B5 quorum: of a KEY_PACKAGE to all as well", 0, QUORUM,
		THREE BEGIN_THREE
		"A> KEY_PACKAGE\nA= {'msgId':'$package'}\nA< ACK ok\nB> KEY_ACK {'epoch':1,"
		"'refId':'$package'}\nC> KEY_ACK {'epoch':1,'refId':'$package'}\nA~\nA> "
		"REKEY_COMMIT {'epoch':1}\nA< REKEY_COMMIT\nA< ACK ok\n"},
	{"B5 quorum: the KEY_PACKAGE of another does not", 0, QUORUM,
		THREE BEGIN_THREE
		"A> KEY_PACKAGE {'targetDeviceId':'dev-B'}\nB= {'msgId':'$package'}\nC> KEY_ACK "
		"{'epoch':1,'refId':'$package'}\nA~\nA> REKEY_COMMIT {'epoch':1}\nA< ACK "
		"E2EE_KEY_SYNC_FAILED {'details':{'ack':0,'need':2}}\n"},
	{"B5 quorum: acknowledgements that do not count", 0, QUORUM,
		TWO BEGIN_TWO "B> KEY_ACK {'epoch':2,'refId':'$begin'}\nB> KEY_ACK {'epoch':1}\n"
			      "B> KEY_ACK {'refId':'$begin'}\nB> KEY_ACK "
			      "{'epoch':1,'refId':'unknown'}\nB> KEY_ACK {'epoch':1,'refId':''}\n"
			      "A> KEY_ACK {'epoch':1,'refId':'$begin'}\nA~\nA> REKEY_COMMIT "
			      "{'epoch':1}\nA< ACK E2EE_KEY_SYNC_FAILED "
			      "{'details':{'ack':0,'need':1}}\n"},
	{"B5 quorum: a second KEY_ACK does not count twice", 0, QUORUM,
		THREE BEGIN_THREE ACK_BEGIN("B") ACK_BEGIN(
			"B") "A~\nA> REKEY_COMMIT {'epoch':1}\nA< ACK E2EE_KEY_SYNC_FAILED "
			     "{'details':{'ack':1,'need':2}}\n"},
	{"B5 quorum: COMMIT without BEGIN", 0, QUORUM,
		THREE "B> REKEY_COMMIT {'epoch':1}\nB< ACK E2EE_KEY_SYNC_FAILED "
		      "{'details':{'ack':0,'need':2}}\nA-\nB-\nC-\n"},
	{"B5 quorum: COMMIT of another than who began", 0, QUORUM,
		TWO BEGIN_TWO ACK_BEGIN("B") "B> REKEY_COMMIT {'epoch':1}\nB< ACK UNAUTHORIZED "
					     "{'message':'Not the rekey leader'}\n"},
	{"B5 one rekey at a time", 0, QUORUM,
		TWO BEGIN_TWO "B> REKEY_BEGIN {'epoch':1}\nB< ACK E2EE_KEY_SYNC_FAILED "
			      "{'message':'Another rekey is in progress','retryable':true}\nA-\n"},
	{"B5 who began may begin again; earlier acknowledgements are void", 0, QUORUM,
		TWO BEGIN_TWO ACK_BEGIN(
			"B") "A~\nA> REKEY_BEGIN {'epoch':1}\nA< REKEY_BEGIN\nA< "
			     "ACK ok\nA> REKEY_COMMIT {'epoch':1}\nA< ACK "
			     "E2EE_KEY_SYNC_FAILED {'details':{'ack':0,'need':1}}\n"},
	{"B5 quorum: alone no acknowledgement is needed, but a BEGIN", 0, QUORUM,
		READY("A", "a") "A> REKEY_COMMIT {'epoch':1}\nA< ACK E2EE_KEY_SYNC_FAILED "
				"{'details':{'ack':0,'need':0}}\nA> REKEY_BEGIN {'epoch':1}\nA< "
				"REKEY_BEGIN\nA< ACK ok\nA> REKEY_COMMIT {'epoch':1}\nA< "
				"REKEY_COMMIT\nA< ACK ok\nA< ROOM_SNAPSHOT {'epoch':1}\nA-\n"},
	{"B5 quorum: an equal epoch is as in C7", 0, QUORUM,
		TWO BEGIN_TWO ACK_BEGIN("B") "A> REKEY_COMMIT {'epoch':1}\nA~\nB~\nB> REKEY_COMMIT "
					     "{'epoch':1}\nB< ACK ok\nB-\nA-\n"},
	{"B5 REKEY_ABORT when it takes too long; the next leads", 0, QUORUM " rekey_ms=2000",
		TWO BEGIN_TWO "time 1999\nA-\nB-\ntime 1\n" ABORT("A", "1", "TIMEOUT") REQUIRED(
			"A", "timeout", "0", "dev-B") "A-\n" ABORT("B", "1", "TIMEOUT")
			REQUIRED("B", "timeout", "0", "dev-B") "B-\nA> REKEY_COMMIT {'epoch':1}\n"
							       "A< ACK E2EE_KEY_SYNC_FAILED\nB> "
							       "REKEY_BEGIN {'epoch':1}\nB< "
							       "REKEY_BEGIN\nB< ACK ok\n"},
	{"B5 leader: after a timeout the old leader leads no more", 0, LEADER " rekey_ms=2000",
		TWO BEGIN_TWO "time 2000\nA~\nB~\nA> REKEY_BEGIN {'epoch':1}\nA< ACK UNAUTHORIZED\n"
			      "B> REKEY_BEGIN {'epoch':1}\nB< REKEY_BEGIN\nB< ACK ok\nA~\n"
			      "B> REKEY_COMMIT {'epoch':1}\nB< REKEY_COMMIT\nB< ACK ok\n"},
	{"B5 nobody begins: each in turn is asked, then silence", 0, LEADER " rekey_ms=2000",
		TWO "time 2000\n" REQUIRED("A", "timeout", "0", "dev-B") "A-\nB~\ntime "
									 "2000\nA-\nB-\ntime "
									 "1000000\nA-\nB-\n"},
	{"B5 REKEY_ABORT when the leader goes", 0, QUORUM,
		THREE BEGIN_THREE "close A\nB< PEER_LEFT\n" ABORT("B", "1", "LEADER_LOST")
			REQUIRED("B", "member_leave", "0",
				"dev-B") "B-\nC< PEER_LEFT\nC< REKEY_ABORT\nC< "
					 "REKEY_REQUIRED\nC-\nB> REKEY_BEGIN "
					 "{'epoch':1}\nB< REKEY_BEGIN\nB< ACK ok\n"},
	{"B5 REKEY_ABORT when the leader joins again", 0, QUORUM,
		TWO BEGIN_TWO "A> ROOM_JOIN {'roomId':'room'}\nA~\n" ABORT("B", "1",
			"LEADER_LOST") "B< "
				       "REKEY_REQUIRED\nB< PEER_JOINED\nB< REKEY_REQUIRED\nB-\n"},
	{"B5 who goes is no longer waited for; one more is wanted afterwards", 0, QUORUM,
		THREE BEGIN_THREE ACK_BEGIN(
			"B") "close C\nA~\nB~\nA> REKEY_COMMIT {'epoch':1}\nA< "
			     "REKEY_COMMIT\nA< ACK ok\nA< ROOM_SNAPSHOT\n" REQUIRED(
				     "A", "member_leave", "1", "dev-A") "A-\n"},
	{"B5 … also when it had acknowledged", 0, QUORUM,
		THREE BEGIN_THREE ACK_BEGIN("C") "close C\nA~\nB~\nA> REKEY_COMMIT {'epoch':1}\nA< "
						 "ACK E2EE_KEY_SYNC_FAILED "
						 "{'details':{'ack':0,'need':1}}\n"},
	{"B5 who comes during a rekey is not waited for; one more afterwards", 0, QUORUM,
		TWO BEGIN_TWO ACK_BEGIN("B") MEMBER(
			"C", "c") "A~\nB~\nC-\nA> REKEY_COMMIT "
				  "{'epoch':1}\nA< REKEY_COMMIT\nA< "
				  "ACK ok\nA< ROOM_SNAPSHOT\n" REQUIRED("A", "member_join", "1",
					  "dev-A") "A-\nC< REKEY_COMMIT\nC< ROOM_SNAPSHOT\nC< "
						   "REKEY_REQUIRED\nC-\n"},
	{"B5 the last one goes in the middle of a rekey", 0, QUORUM,
		READY("A", "a") "A> REKEY_BEGIN {'epoch':1}\nA~\nclose A\nfigures {'rooms':0}\n"
				"time 100000\n" READY("A", "a") "A-\n"},
	{"B5 E2EE_READY is not touched by the policy", 0, QUORUM,
		TWO BEGIN_TWO ACK_BEGIN("B") "A> REKEY_COMMIT {'epoch':1}\nA~\nB~\nB> "
					     "TRANSPORT_CREATE\nB< ACK E2EE_NOT_READY\nB> "
					     "E2EE_READY {'epoch':1}\nB< ACK ok\n" SEND("B", "$t")},
};

#define ISSUE "join_token=1 join_secret=0123456789abcdef0123456789abcdef"
#define REQUIRE "join_token=2 join_secret=0123456789abcdef0123456789abcdef"
/* For room "room", call "call", users ann and bob, until 2100. */
#define GOOD_TOKEN                                                                                 \
	"'eyJyb29tSWQiOiJyb29tIiwiY2FsbElkIjoiY2FsbCIsImFsbG93ZWRVc2VySWRzIjpbImFubiIsImJvYiJdLCJ" \
	"qdGkiOiJqIiwiZXhwIjo0MTAyNDQ0ODAwfQ.t6etxqbyHgPZr_TnlQTaewptLPhgE6Wh3kVVm2K7aV8'"
#define CREATE(a, more, token)                                                                     \
	a "> ROOM_CREATE {'roomId':'room'" more "}\n" a "< ROOM_CREATED {'roomId':'room',"         \
	  "'joinToken':'" token "'}\n" a "= {'type':'ROOM_JOIN_SECRET','seq':'#','payload':{"      \
	  "'roomId':'room','joinToken':'" token "'}}\n" a "< ACK ok\n" a "-\n"
#define BAD_TOKEN(name, value)                                                                     \
	{                                                                                          \
		"B4 require: " name, 0, REQUIRE,                                                   \
			IN("A", "ann") "A> ROOM_JOIN {'roomId':'room'" value                       \
				       "}\nA< ACK UNAUTHORIZED {'message':'Invalid or missing "    \
				       "joinToken','retryable':false,'details':{'roomId':'room'}}" \
				       "\nA-\nfigures {'rooms':0}\n"                               \
	}

static const struct script token_rows[] = {
	{"B4 C25 off: no token, none looked at", 0, "",
		IN("A", "ann") "A> ROOM_CREATE {'roomId':'room','allowedUserIds':7}\nA< "
			       "ROOM_CREATED "
			       "{'joinToken':'-'}\nA< ACK ok\nA-\nA> ROOM_JOIN "
			       "{'roomId':'room','joinToken':'nonsense'}\nA< ROOM_JOIN_OK\n"},
	{"B4 issue: ROOM_CREATED, ROOM_JOIN_SECRET, ACK", 0, ISSUE,
		IN("A", "ann") CREATE("A", "", "$t") "A> ROOM_JOIN "
						     "{'roomId':'room','joinToken':'$t'}\nA< "
						     "ROOM_JOIN_OK\n"},
	{"B4 issue: without a token as in the seed", 0, ISSUE,
		IN("A", "ann") "A> ROOM_JOIN {'roomId':'room'}\nA< ROOM_JOIN_OK\n"},
	{"B4 issue: a presented token is verified", 0, ISSUE,
		IN("A", "ann") "A> ROOM_JOIN {'roomId':'room','joinToken':'a.b'}\nA< ACK "
			       "UNAUTHORIZED "
			       "{'message':'Invalid or missing joinToken'}\nA-\n"},
	{"B4 issue: the creator's list counts for the token", 0, ISSUE,
		IN("A", "ann") CREATE("A", ",'allowedUserIds':['bob']", "$t") IN("B", "bob")
			IN("C", "cem") "A> ROOM_JOIN {'roomId':'room','joinToken':'$t'}\nA< "
				       "ROOM_JOIN_OK\nB> ROOM_JOIN "
				       "{'roomId':'room','joinToken':'$t'}\nB< ROOM_JOIN_OK\n"
				       "C> ROOM_JOIN {'roomId':'room','joinToken':'$t'}\nC< "
				       "ACK UNAUTHORIZED {'message':'User not authorized for "
				       "this call','retryable':false,'details':{'roomId':"
				       "'room'}}\nC-\n"},
	{"B4 issue: another user gets no token for the room", 0, ISSUE,
		IN("A", "ann") CREATE("A", ",'allowedUserIds':['bob']", "$t") IN("B", "bob") IN("C",
			"cem") CREATE("B", "", "$u") "C> ROOM_CREATE {'roomId':'room'}\nC< "
						     "ROOM_CREATED {'joinToken':'-'}\nC< ACK ok\n"
						     "C-\n"},
	{"B4 issue: a member gets one", 0, ISSUE,
		IN("A", "ann") CREATE("A", "", "$t") IN(
			"C", "cem") "C> ROOM_JOIN {'roomId':'room'}\nC~\n" CREATE("C", "", "$u")},
	{"B4 allowedUserIds of the wrong kind", 0, ISSUE,
		IN("A", "ann") "A> ROOM_CREATE {'allowedUserIds':7}\nA< ACK VALIDATION_FAILED "
			       "{'message':'Invalid allowedUserIds'}\nA> ROOM_CREATE "
			       "{'allowedUserIds':[7]}\nA< ACK VALIDATION_FAILED\nA> ROOM_CREATE "
			       "{'allowedUserIds':['']}\nA< ACK VALIDATION_FAILED\nA> ROOM_CREATE "
			       "{'allowedUserIds':['@129']}\nA< ACK VALIDATION_FAILED\nA-\nfigures "
			       "{'rooms':0}\nA> ROOM_CREATE {'allowedUserIds':[]}\nA< "
			       "ROOM_CREATED\nA> ROOM_CREATE "
			       "{'roomId':'n','allowedUserIds':null}\n"},
	BAD_TOKEN("no token", ""),
	BAD_TOKEN("null", ",'joinToken':null"),
	BAD_TOKEN("a number", ",'joinToken':7"),
	BAD_TOKEN("empty", ",'joinToken':''"),
	BAD_TOKEN("nonsense", ",'joinToken':'nonsense'"),
	BAD_TOKEN("begins with the dot", ",'joinToken':'.x'"),
	{"B4 require: a token made elsewhere; its callId is the default", 0, REQUIRE,
		IN("A", "ann") "A> ROOM_JOIN {'roomId':'room','joinToken':" GOOD_TOKEN
			       "}\nA< ROOM_JOIN_OK {'callId':'call'}\n"},
	{"B4 require: a callId that is given goes before the token's", 0, REQUIRE,
		IN("A", "ann") "A> ROOM_JOIN "
			       "{'roomId':'room','callId':'mine','joinToken':" GOOD_TOKEN
			       "}\nA< ROOM_JOIN_OK {'callId':'mine'}\n"},
	{"B4 require: for another user", 0, REQUIRE,
		IN("A", "cem") "A> ROOM_JOIN {'roomId':'room','joinToken':" GOOD_TOKEN
			       "}\nA< ACK UNAUTHORIZED {'message':'User not authorized for this "
			       "call'}\nA-\nfigures {'rooms':0}\n"},
	{"B4 C25 require: for another room", 0, REQUIRE,
		IN("A", "ann") "A> ROOM_JOIN {'roomId':'other','joinToken':" GOOD_TOKEN
			       "}\nA< ACK UNAUTHORIZED\n"},
	{"B4 require: the same token serves several devices", 0, REQUIRE,
		IN("A", "ann") IN("B",
			"ann") "A> ROOM_JOIN {'roomId':'room','joinToken':" GOOD_TOKEN
			       "}\nA< ROOM_JOIN_OK\nB> ROOM_JOIN "
			       "{'roomId':'room','joinToken':" GOOD_TOKEN "}\nB< ROOM_JOIN_OK\n"},
	{"B4 require: the token of ROOM_CREATE, until it expires", 0, REQUIRE " join_ttl=30",
		IN("A", "ann") CREATE("A", "", "$t") IN("B",
			"bob") "B> ROOM_JOIN {'roomId':'room','joinToken':'$t'}\nB< ROOM_JOIN_OK\n"
			       "time 30000\nA> ROOM_JOIN {'roomId':'room','joinToken':'$t'}\nA< "
			       "ACK "
			       "UNAUTHORIZED {'message':'Invalid or missing joinToken'}\n"},
	{"B4 require: nobody is given a token for another's room", 0, REQUIRE,
		IN("A", "ann") CREATE("A", "", "$t")
			IN("C", "cem") "C> ROOM_CREATE {'roomId':'room'}\nC< ACK UNAUTHORIZED "
				       "{'message':'User not authorized for this call',"
				       "'details':{'roomId':'room'}}\nC-\n"},
	{"B4 CALLS_JOIN_TOKEN_SKIP: any token", 0, REQUIRE " join_skip=1",
		IN("A", "ann") "A> ROOM_JOIN {'roomId':'room','joinToken':'any'}\nA< "
			       "ROOM_JOIN_OK\n"},
	{"B4 the token is checked after the caps", 0, REQUIRE,
		"open A\nA> AUTH {'accessToken':'user-a'}\nA~\nA> ROOM_JOIN {'roomId':'room'}\nA< "
		"ACK "
		"UNSUPPORTED_E2EE\n"},
};

#define CAPS_ROW(name, caps, verdict)                                                              \
	{                                                                                          \
		"B2 E2EE_CAPS doubleRatchet: " name, 0, "ratchet=1",                               \
			IN("A", "a") "A> E2EE_CAPS {'insertableStreams':true," caps                \
				     "}\nA< ACK " verdict "\nA-\n"                                 \
	}
#define NO_RATCHET                                                                                 \
	"UNSUPPORTED_E2EE {'message':'Double Ratchet capability is required','retryable':false,"   \
	"'details':{'doubleRatchet':false}}"

static const struct script caps_rows[] = {
	CAPS_ROW("true", "'doubleRatchet':true", "ok"),
	CAPS_ROW("a string is not true", "'doubleRatchet':'true'", NO_RATCHET),
	CAPS_ROW("absent", "'sframe':true", NO_RATCHET),
	CAPS_ROW("implied", "'supportedCipherSuites':['x','DOUBLE_RATCHET_P256_AES128GCM']", "ok"),
	CAPS_ROW("implied by the other",
		"'supportedCipherSuites':['DR_P256_HKDF_SHA256_AES128GCM']", "ok"),
	CAPS_ROW("suites of the wrong kind", "'supportedCipherSuites':[7,null,{}]", NO_RATCHET),
	CAPS_ROW("suites that are no array",
		"'supportedCipherSuites':'DOUBLE_RATCHET_P256_AES128GCM'", NO_RATCHET),
	{"B2 ROOM_JOIN without Double Ratchet", 0, "ratchet=1",
		IN("A", "a") "A> ROOM_JOIN {'roomId':'room'}\nA< ACK UNSUPPORTED_E2EE "
			     "{'message':'Double Ratchet capability is required before joining the "
			     "room'}\nA> E2EE_CAPS "
			     "{'insertableStreams':true,'doubleRatchet':true}\nA~"
			     "\nA> ROOM_JOIN {'roomId':'room'}\nA< ROOM_JOIN_OK\n"},
	{"B2 not asked for by default", 0, "",
		IN("A", "a") "A> E2EE_CAPS {'insertableStreams':true,'doubleRatchet':false}\nA< "
			     "ACK "
			     "ok\n"},
	{"B2 maxPeers and e2eeRequired of ROOM_CREATE are ignored", 0, "",
		IN("A", "a") "A> ROOM_CREATE "
			     "{'roomId':'room','maxPeers':1,'e2eeRequired':false}\nA~\n"
			     "A> ROOM_JOIN {'roomId':'room'}\nA~\n" MEMBER(
				     "B", "b") "B> TRANSPORT_CREATE\nB< ACK E2EE_NOT_READY\n"},
};

#define TEN(step) step step step step step step step step step step
#define SIXTY(step) TEN(step) TEN(step) TEN(step) TEN(step) TEN(step) TEN(step)
#define HELLOS SIXTY("A> HELLO\n") "A~\n"
#define LIMITED(type, before, allowed)                                                             \
	{                                                                                          \
		"B10 rate: " type, 0, "rate=1",                                                    \
			READY("A", "a") before allowed                                             \
			"A~\nA> " type "\nA< ACK RATE_LIMITED {'message':'Too many requests',"     \
			"'retryable':true,'details':{}}\nA> PING\nA< ACK ok\nA-\n"                 \
	}

static const struct script limit_rows[]
	= {
		{"B10 rate: 60 frames in 10 s, then RATE_LIMITED", 0, "rate=1",
			"open A\n" SIXTY(
				"A> PING\nA< ACK ok\n") "A> PING\nA< ACK RATE_LIMITED "
							"{'message':'Too "
							"many requests','retryable':true}\nA-\n"},
		{"B10 rate: … one more each sixth of a second", 0, "rate=1",
			"open A\n" SIXTY(
				"A> PING\n") "A~\ntime 167\nA> PING\nA< ACK ok\nA> PING\nA< ACK "
					     "RATE_LIMITED\ntime 10000\n" SIXTY(
						     "A> PING\nA< ACK ok\n")},
		{"B10 rate: at five times the rate 4029", 0, "rate=1",
			"open A\n" SIXTY("A> PING\n") "A~\n" SIXTY("A> PING\nA< ACK RATE_LIMITED\n") "A~\n" SIXTY(
				"A> PING\n") "A~\n" SIXTY("A> PING\n") "A~\n" SIXTY("A> PING\nA< "
										    "ACK "
										    "RATE_"
										    "LIMITED\n") "A"
												 " "
												 "c"
												 "l"
												 "o"
												 "s"
												 "e"
												 "d"
												 " "
												 "0"
												 "\nA> "
												 "P"
												 "I"
												 "N"
												 "G"
												 "\n"
												 "A"
												 "-"
												 "\nA "
												 "c"
												 "l"
												 "o"
												 "s"
												 "e"
												 "d"
												 " "
												 "4"
												 "0"
												 "2"
												 "9"
												 "\n"},
		{"B10 rate: what is refused is not recorded", 0, "rate=1",
			"open A\n" SIXTY(
				"A> PING\n") "A~\nA! "
					     "{'v':1,'type':'HELLO','msgId':'m','ts':1,'seq':900}"
					     "\nA= "
					     "{'ack':{'ackOfMsgId':'m','ok':false,'error':{'code':'"
					     "RATE_"
					     "LIMITED'}}}\nA-\ntime 10000\nA! "
					     "{'v':1,'type':'HELLO','msgId':'m','ts':1,'seq':900}"
					     "\nA< "
					     "WELCOME\nA= {'ack':{'ackOfMsgId':'m','ok':true}}\n"},
		{"B10 rate: frames that are no JSON count, too", 0, "rate=1",
			"open A\n" SIXTY("A! nonsense\n") "A> PING\nA< ACK RATE_LIMITED\n"},
		{"B10 rate: one connection's excess is not another's", 0, "rate=1",
			"open A\nopen B\n" SIXTY(
				"A> PING\n") "A~\nA> PING\nA< ACK RATE_LIMITED\nB> PING\nB< "
					     "ACK ok\n"},
		{"B10 rate: SFU_RATE_FACTOR multiplies", 0, "rate=2",
			"open A\n" SIXTY("A> PING\nA< ACK ok\n")
				SIXTY("A> PING\nA< ACK ok\n") "A> PING\nA< ACK RATE_LIMITED\n"},
		{"B10 rate: off by default", 0, "",
			"open A\n" HELLOS HELLOS HELLOS HELLOS HELLOS SIXTY(
				"A> HELLO\nA< WELCOME\nA< ACK ok\n")},
		LIMITED("HELLO", "", "A> HELLO\n"),
		LIMITED("AUTH {'accessToken':'user-a'}", "",
			"A> AUTH {'accessToken':'user-a'}\nA> AUTH {'accessToken':'user-a'}\n"),
		LIMITED("E2EE_CAPS {'insertableStreams':true}", "",
			"A> E2EE_CAPS {'insertableStreams':true}\n"),
		LIMITED("ROOM_CREATE {'roomId':'r'}", "",
			"A> ROOM_CREATE {'roomId':'r'}\nA> ROOM_CREATE {'roomId':'r'}\nA> "
			"ROOM_CREATE "
			"{'roomId':'r'}\n"),
		LIMITED("ROOM_JOIN {'roomId':'room'}", "",
			"A> ROOM_JOIN {'roomId':'room'}\nA> ROOM_JOIN {'roomId':'room'}\nA> "
			"ROOM_JOIN "
			"{'roomId':'room'}\nA> ROOM_JOIN {'roomId':'room'}\n"),
		LIMITED("REKEY_COMMIT {'epoch':9}", "A> REKEY_BEGIN\n",
			"A> REKEY_COMMIT {'epoch':1}\nA> REKEY_BEGIN\n"),
		{"B10 rate: KEY_* 4 times the limit of devices", 0, "rate=1 participants=2",
			READY("A",
				"a") "A> KEY_ACK\nA> KEY_PACKAGE\nA> KEY_ACK\nA> KEY_ACK\nA> "
				     "KEY_ACK\nA> "
				     "KEY_ACK\nA> KEY_ACK\nA> KEY_ACK\nA~\nA> KEY_PACKAGE\nA< ACK "
				     "RATE_LIMITED\nA> KEY_ACK\nA< ACK RATE_LIMITED\n"},
		{"B10 rate: a kind's window passes", 0, "rate=1",
			"open A\nA> HELLO\nA> HELLO\nA~\ntime 14999\nA> HELLO\nA< ACK "
			"RATE_LIMITED\ntime 1\nA> "
			"HELLO\nA< WELCOME\nA< ACK ok\n"},
		{"B10 SFU_MAX_CONN_PER_ADDRESS", 0, "per_address=2",
			"open A\nopen B\nopen C\nC closed 4029\nA> PING\nA< ACK ok\nclose C\nclose "
			"B\nopen D\nD "
			"closed 0\nopen E 192.0.2.78\nE closed 0\n"},
		{"B10 … an IPv6 network of 64 bits is one place", 0, "per_address=1",
			"open A 2001:db8::1\nopen B 2001:db8::2\nB closed 4029\nopen C "
			"2001:db8:0:1::1\nC "
			"closed 0\n"},
		{"B10 … an IPv4-mapped address is the IPv4 address", 0, "per_address=1",
			"open A 192.0.2.1\nopen B ::ffff:192.0.2.1\nB closed 4029\nopen C "
			"::ffff:192.0.2.2\nC closed 0\n"},
		{"B10 … any number by default", 0, "",
			"open A\nopen B\nopen C\nopen D\nopen E\nopen F\nopen G\nopen H\nopen "
			"I\nopen J\nopen "
			"K\nK closed 0\nK> PING\nK< ACK ok\n"},
		{"B10 insecure transport", 0, "secure=1", "open A\ninsecure A\nA closed 4003\n"},
		{"B10 … allowed by default", 0, "",
			"open A\ninsecure A\nA closed 0\nA> PING\nA< ACK ok\n"},
		{"B10 C21 token expiry: AUTH_FAIL without seq, 4001", 0, "auth_recheck_sec=60",
			MEMBER("A", "a")
				MEMBER("B", "b") "A> AUTH {'accessToken':'user-a'}\nA~\nexpires A "
						 "90\ntime 60000\nA-\nA "
						 "closed 0\ntime 60000\nA= "
						 "{'type':'AUTH_FAIL','seq':'-','payload':{"
						 "'reason':'TOKEN_EXPIRED','retryable':true}}\nA "
						 "closed 4001\nB~\nclose "
						 "A\nB< PEER_LEFT\n"},
		{"C21 … not by default: an expired token keeps its session", 0, "",
			IN("A", "a") "expires A 30\ntime 200000\nA closed 0\nA> PING\nA~\n"},
		{"B10 … not when it authenticated anew", 0, "auth_recheck_sec=60",
			IN("A", "a") "expires A 30\nA> AUTH {'accessToken':'user-a'}\nA~\ntime "
				     "200000\nA-\nA "
				     "closed 0\n"},
		{"B10 … an expiry of an earlier AUTH is no longer heard", 0, "auth_recheck_sec=60",
			IN("A", "a") "A> AUTH {'accessToken':'hold'}\nexpires A 30\nauth A "
				     "user-a\nA~\ntime "
				     "200000\nA-\nA closed 0\n"},
		{"B10 device takeover: same user 4009, other user refused", 0, "",
			MEMBER("A", "a") IN(
				"B", "a") "B> ROOM_JOIN {'roomId':'room','deviceId':'dev-A'}\nB< "
					  "ROOM_JOIN_OK\nA closed 4009\nclose A\nfigures "
					  "{'peers':1}\n" IN("C",
						  "c") "C> ROOM_JOIN "
						       "{'roomId':'room','deviceId':'dev-A'}\nC< "
						       "ACK UNAUTHORIZED\nB closed 0\n"},
};

/* A connection that wants to come back; $w is its token. */
#define HELLO_AGAIN(a, device, token, resumed)                                                     \
	"open " a "\n" a "> HELLO {'client':{'deviceId':'" device                                  \
	"','ext':['resume']},'resume':{'resumeToken':'" token "'}}\n" a                            \
	"< WELCOME {'resumed':" resumed "}\n" a "< ACK ok\n"
#define FIRST(a, user, w)                                                                          \
	"open " a "\n" a "> HELLO {'client':{'deviceId':'dev-" a "','ext':['x','resume']}}\n" a    \
	"< WELCOME {'resumeToken':'" w "','resumed':'-'}\n" a "~\n" a                              \
	"> AUTH {'accessToken':'user-" user "'}\n" a "> E2EE_CAPS {'insertableStreams':true}\n" a  \
	"> ROOM_JOIN {'roomId':'room'}\n" a "> E2EE_READY {'epoch':0}\n" a "~\n"
#define AUTH(a, user) a "> AUTH {'accessToken':'user-" user "'}\n" a "< AUTH_OK\n"

static const struct script resume_rows[] = {
	{"B9 a lost member comes back to its place", 0, "",
		FIRST("A", "a", "$w")
			READY("B", "b") "lose A\nB-\nfigures {'peers':2,'bound':1}\ntime "
					"29000\n" HELLO_AGAIN("C", "dev-A", "$w", "true") AUTH(
						"C", "a") "C= "
							  "{'type':'ROOM_SNAPSHOT','seq':'#','"
							  "payload':{'roomId':'room',"
							  "'peers':[{'deviceId':'dev-A','e2eeReady'"
							  ":true},{'deviceId':"
							  "'dev-B'}]}}\nC< ACK ok\nC-\nB-\nfigures "
							  "{'peers':2,'bound':2}\n" SEND(
								  "C", "$t") "time 100000\nB-\n"},
	{"B9 … with its transports, producers and consumers", M, "",
		FIRST("A", "a", "$w") READY("B", "b") "A~\n" SEND("A", "$sa") PRODUCE("A", "$sa",
			"$pa", "audio", OPUS) "B~\n" RECV("B", "$rb") "B~\n" CONSUME("B", "$pa",
			"$cb") "m~\nlose A\nm- delete\n" HELLO_AGAIN("C", "dev-A", "$w",
			"true") AUTH("C",
			"a") "C< ROOM_SNAPSHOT {'producers':[{'producerId':'$pa'}]}\nC< ACK "
			     "ok\nm- delete\nB-\nC> PRODUCER_PAUSE {'producerId':'$pa'}\nC< "
			     "ACK ok\nB< PRODUCER_PAUSED\n"},
	{"B9 … and is told of producers that came meanwhile", 0, "",
		FIRST("A", "a", "$w") RECV("A", "$ra") "lose A\n" READY("B", "b") SEND("B", "$sb")
			PRODUCE("B", "$sb", "$pb", "audio", "{}")
				HELLO_AGAIN("C", "dev-A", "$w", "true") AUTH(
					"C", "a") "C< ROOM_SNAPSHOT\nC< ACK ok\nC< PRODUCER_ADDED "
						  "{'producerId':'$pb'}\nC-\n"},
	{"B9 seq goes on", 0, "",
		FIRST("A", "a",
			"$w") "lose A\nopen C\nC> HELLO {'client':{'deviceId':'dev-A','ext':"
			      "['resume']},'resume':{'resumeToken':'$w'}}\nC= "
			      "{'type':'WELCOME','seq':6}\nC~\nC> AUTH {'accessToken':'user-a'}\n"
			      "C= {'type':'AUTH_OK','seq':7}\nC= "
			      "{'type':'ROOM_SNAPSHOT','seq':8}\n"},
	{"B9 C5 the msgId window is inherited, the sequence is not", 0, "",
		FIRST("A", "a",
			"$w") "A! {'v':1,'type':'NOPE','msgId':'m','ts':1,'seq':900}\nA~\nlose "
			      "A\n" HELLO_AGAIN("C", "dev-A", "$w", "true") AUTH("C",
				      "a") "C~\nC! "
					   "{'v':1,'type':'NOPE','msgId':'m','ts':1,'seq':900}\nC= "
					   "{'ack':{'ackOfMsgId':'m','ok':false,'error':{'message':"
					   "'Unsupported type: NOPE'}}}\nC> PING\nC< ACK ok\nC! "
					   "{'v':1,'type':'PING','msgId':'C-2','ts':1,'seq':2}\nC= "
					   "{'ack':{'ackOfMsgId':'C-2','ok':true}}\nC-\n"},
	{"B9 after SFU_RESUME_SEC it leaves", 0, "resume_sec=5",
		FIRST("A", "a", "$w") READY("B", "b") "lose A\ntime 4999\nB-\ntime 1\nB< PEER_LEFT "
						      "{'deviceId':'dev-A'}\nB-\n" HELLO_AGAIN(
							      "C", "dev-A", "$w", "false")
							      AUTH("C", "a") "C< ACK ok\nC-\n"},
	{"B9 SFU_RESUME_SEC=0: at once", 0, "resume_sec=0",
		FIRST("A", "a", "$w") READY("B", "b") "lose A\nB< PEER_LEFT\n" HELLO_AGAIN(
			"C", "dev-A", "$w", "false")},
	{"B9 a close frame ends it at once", 0, "",
		FIRST("A", "a", "$w") READY("B", "b") "close A\nB< PEER_LEFT\n" HELLO_AGAIN(
			"C", "dev-A", "$w", "false")},
	{"B9 who did not announce it leaves at once", 0, "",
		READY("A", "a") READY("B", "b") "lose A\nB< PEER_LEFT\n"},
	{"B9 resume without the announcement is ignored", 0, "",
		FIRST("A", "a",
			"$w") "lose A\nopen C\nC> HELLO {'client':{'deviceId':'dev-A'},'resume':"
			      "{'resumeToken':'$w'}}\nC< WELCOME {'resumed':'-'}\nC< ACK ok\n"},
	{"B9 the token is single use", 0, "",
		FIRST("A", "a", "$w") "lose A\n" HELLO_AGAIN("C", "dev-A", "$w", "true")
			AUTH("C", "a") HELLO_AGAIN("D", "dev-A", "$w", "false")
				AUTH("D", "a") "D< ACK ok\nD-\n"},
	{"B9 unknown tokens and none", 0, "",
		HELLO_AGAIN("A", "d", "nonsense",
			"false") "A> HELLO {'client':{'ext':['resume']},"
				 "'resume':{'resumeToken':7}}\nA< WELCOME "
				 "{'resumed':false}\nA< ACK ok\nA> HELLO "
				 "{'client':{'ext':['resume']},'resume':'x'}\nA< "
				 "WELCOME {'resumed':'-'}\nA< ACK ok\nA> HELLO "
				 "{'client':{'ext':'resume'},'resume':{}}\nA< "
				 "WELCOME {'resumed':'-'}\n"},
	{"B9 another device with the token", 0, "",
		FIRST("A", "a", "$w") "lose A\n" HELLO_AGAIN("C", "dev-C", "$w", "false")
			HELLO_AGAIN("D", "dev-A", "$w", "true")},
	{"B9 another user with the token: nothing is moved", 0, "",
		FIRST("A", "a", "$w")
			READY("B", "b") "lose A\n" HELLO_AGAIN("C", "dev-A", "$w", "true") AUTH("C",
				"c") "C< ACK ok\nC-\nC> E2EE_READY {'epoch':0}\nC< ACK "
				     "UNAUTHORIZED\ntime 31000\nB< PEER_LEFT {'userId':'a'}\nB-\n"},
	{"B9 the token of one that was never authenticated", 0, "",
		"open A\nA> HELLO {'client':{'deviceId':'d','ext':['resume']}}\nA< WELCOME "
		"{'resumeToken':'$w'}\nA~\nlose A\n" HELLO_AGAIN("C", "d", "$w", "false")},
	{"B9 the socket is half open: 4009, and moved", 0, "",
		FIRST("A", "a", "$w") READY("B", "b") HELLO_AGAIN("C", "dev-A", "$w",
			"true") "A closed 4009\n" AUTH("C", "a") "C< ROOM_SNAPSHOT\nC< ACK "
								 "ok\nlose A\nB-\nfigures "
								 "{'peers':2,'bound':2}\ntime "
								 "100000\nB-\n"},
	{"B9 … its socket goes before the AUTH", 0, "",
		FIRST("A", "a", "$w") READY("B", "b") HELLO_AGAIN("C", "dev-A", "$w",
			"true") "close A\nB-\n" AUTH("C", "a") "C< ROOM_SNAPSHOT\nC< ACK ok\nB-\n"},
	{"B9 lost again before its AUTH: the new token leads there, too", 0, "",
		FIRST("A", "a",
			"$w") "lose A\nopen C\nC> HELLO {'client':{'deviceId':'dev-A','ext':"
			      "['resume']},'resume':{'resumeToken':'$w'}}\nC< WELCOME "
			      "{'resumeToken':'$v'}\nlose C\n" HELLO_AGAIN("D", "dev-A", "$v",
				      "true") AUTH("D", "a") "D< ROOM_SNAPSHOT\n"},
	{"B9 it comes back twice", 0, "",
		FIRST("A", "a",
			"$w") "lose A\nopen C\nC> HELLO {'client':{'deviceId':'dev-A','ext':"
			      "['resume']},'resume':{'resumeToken':'$w'}}\nC< WELCOME "
			      "{'resumeToken':'$v'}\nC~\n" AUTH("C", "a") "lose C\n" HELLO_AGAIN(
				      "D", "dev-A", "$v", "true")
				      AUTH("D", "a") "D< ROOM_SNAPSHOT\nD< ACK ok\n"},
	{"B9 it joins anew instead: C9", 0, "",
		FIRST("A", "a", "$w")
			READY("B", "b") "lose A\n" IN("C", "a") "C> ROOM_JOIN "
								"{'roomId':'room','deviceId':"
								"'dev-A'}\nC< "
								"ROOM_JOIN_OK\nC~\nB< "
								"PEER_JOINED\nfigures "
								"{'peers':2,'bound':2}\ntime "
								"100000\nB-\n"},
	{"B9 another user cannot have its name meanwhile", 0, "",
		FIRST("A", "a", "$w") "lose A\n" IN(
			"C", "c") "C> ROOM_JOIN "
				  "{'roomId':'room','deviceId':'dev-A'}\nC< ACK "
				  "UNAUTHORIZED {'message':'deviceId in use'}\n"},
	{"B9 KEY_PACKAGE to a lost member: offline", 0, "",
		FIRST("A", "a", "$w")
			READY("B", "b") "lose A\nB> KEY_PACKAGE "
					"{'targetDeviceId':'dev-A'}\nB< ACK "
					"KEY_PACKAGE_TARGET_OFFLINE {'retryable':true}\n"},
	{"B9 a commit meanwhile: not ready when it comes back", 0, "",
		FIRST("A", "a", "$w") READY(
			"B", "b") "lose A\nB> REKEY_COMMIT {'epoch':1}\n" HELLO_AGAIN("C", "dev-A",
			"$w", "true") AUTH("C", "a") "C< ROOM_SNAPSHOT {'epoch':1}\nC< ACK "
						     "ok\nC> TRANSPORT_CREATE\nC< ACK "
						     "E2EE_NOT_READY "
						     "{'details':{'expectedEpoch':1}}\n"},
	{"B9 it answers what was asked before: the request is lost, not the place", M, "",
		FIRST("A", "a", "$w") "media hold\nA> TRANSPORT_CREATE\nlose A\n" HELLO_AGAIN("C",
			"dev-A", "$w", "false") "media go\nfigures {'transports':1,'peers':1}\n"
						"time 31000\nfigures {'transports':0,'peers':0}\n"},
	{"B9 B5 a lost member is not waited for", 0, QUORUM,
		READY("B", "b") FIRST("A", "a",
			"$w") "B> REKEY_BEGIN {'epoch':1}\nlose A\nB~\nB> "
			      "REKEY_COMMIT {'epoch':1}\nB< REKEY_COMMIT\nB< ACK "
			      "ok\nB< ROOM_SNAPSHOT\nB-\n" HELLO_AGAIN("C", "dev-A", "$w", "true")
				      AUTH("C", "a") "C< ROOM_SNAPSHOT\nC< ACK ok\n" REQUIRED(
					      "C", "member_join", "1", "dev-B")},
	{"B9 B5 a lost leader: abort, the next leads", 0, QUORUM,
		FIRST("A", "a", "$w")
			READY("B", "b") "A> REKEY_BEGIN {'epoch':1}\nB~\nlose A\n" ABORT("B", "1",
				"LEADER_LOST") REQUIRED("B", "member_leave", "0", "dev-B") "B-\n"},
	{"B9 a session that we close is not parked", 0, "auth_deadline_sec=0 auth_recheck_sec=60",
		FIRST("A", "a", "$w")
			READY("B", "b") "A> AUTH {'accessToken':'user-a'}\nexpires A 1\ntime "
					"61000\nA~\nA closed 4001\nlose A\nB< PEER_LEFT\n"},
};

/* Whoever left is a member no longer, whatever it asks, and nobody hears of it. */
#define AFTER_LEAVE(type, mode)                                                                    \
	{                                                                                          \
		"B2 after ROOM_LEAVE: " type " " #mode, mode, "",                                  \
			READY("A", "a") READY("B", "b") "A> ROOM_LEAVE\nA~\nB~\nA> " type          \
							" {'epoch':0,'transportId':'t','"          \
							"producerId':'p','consumerId':'c',"        \
							"'targetDeviceId':'dev-B'}\nA< ACK "       \
							"UNAUTHORIZED {'message':'Not a room "     \
							"member','retryable':false,'details':{}}"  \
							"\nA-\nB-\n"                               \
	}
/* The policy says who may commit; the gate is the same for all. */
#define AFTER_COMMIT(type, mode, policy)                                                           \
	{                                                                                          \
		"B5 A7 gate after a commit, policy " policy ": " type " " #mode, mode,             \
			"policy=" policy,                                                          \
			READY("A", "a") READY("B",                                                 \
				"b") "A> REKEY_COMMIT {'epoch':1}\nA~\nB~\nB> " type               \
				     " {'transportId':'t','producerId':'p'}\nB< ACK "              \
				     "E2EE_NOT_READY "                                             \
				     "{'message':'E2EE readiness required before media "           \
				     "operations',"                                                \
				     "'retryable':true,'details':{'expectedEpoch':1}}\nB-\nA-\n"   \
	}

static const struct script state_rows[] = {
	AFTER_LEAVE("E2EE_READY", 0),
	AFTER_LEAVE("E2EE_READY", M),
	AFTER_LEAVE("REKEY_BEGIN", 0),
	AFTER_LEAVE("REKEY_BEGIN", M),
	AFTER_LEAVE("REKEY_COMMIT", 0),
	AFTER_LEAVE("REKEY_COMMIT", M),
	AFTER_LEAVE("KEY_PACKAGE", 0),
	AFTER_LEAVE("KEY_PACKAGE", M),
	AFTER_LEAVE("KEY_ACK", 0),
	AFTER_LEAVE("KEY_ACK", M),
	AFTER_LEAVE("TRANSPORT_CREATE", 0),
	AFTER_LEAVE("TRANSPORT_CREATE", M),
	AFTER_LEAVE("TRANSPORT_CONNECT", 0),
	AFTER_LEAVE("TRANSPORT_CONNECT", M),
	AFTER_LEAVE("TRANSPORT_CLOSE", 0),
	AFTER_LEAVE("TRANSPORT_CLOSE", M),
	AFTER_LEAVE("PRODUCE", 0),
	AFTER_LEAVE("PRODUCE", M),
	AFTER_LEAVE("PRODUCER_CLOSE", 0),
	AFTER_LEAVE("PRODUCER_CLOSE", M),
	AFTER_LEAVE("PRODUCER_PAUSE", 0),
	AFTER_LEAVE("PRODUCER_PAUSE", M),
	AFTER_LEAVE("PRODUCER_RESUME", 0),
	AFTER_LEAVE("PRODUCER_RESUME", M),
	AFTER_LEAVE("CONSUME", 0),
	AFTER_LEAVE("CONSUME", M),
	AFTER_LEAVE("CONSUMER_CLOSE", 0),
	AFTER_LEAVE("CONSUMER_CLOSE", M),
	AFTER_LEAVE("CONSUMER_PAUSE", 0),
	AFTER_LEAVE("CONSUMER_PAUSE", M),
	AFTER_LEAVE("CONSUMER_RESUME", 0),
	AFTER_LEAVE("CONSUMER_RESUME", M),
	AFTER_LEAVE("CONSUMER_SET_LAYERS", 0),
	AFTER_LEAVE("CONSUMER_SET_LAYERS", M),
	AFTER_LEAVE("CONSUMER_REQUEST_KEY_FRAME", 0),
	AFTER_LEAVE("CONSUMER_REQUEST_KEY_FRAME", M),
	AFTER_COMMIT("TRANSPORT_CREATE", 0, "0"),
	AFTER_COMMIT("TRANSPORT_CREATE", 0, "1"),
	AFTER_COMMIT("TRANSPORT_CREATE", M, "0"),
	AFTER_COMMIT("TRANSPORT_CREATE", M, "1"),
	AFTER_COMMIT("TRANSPORT_CONNECT", 0, "0"),
	AFTER_COMMIT("TRANSPORT_CONNECT", 0, "1"),
	AFTER_COMMIT("TRANSPORT_CONNECT", M, "0"),
	AFTER_COMMIT("TRANSPORT_CONNECT", M, "1"),
	AFTER_COMMIT("PRODUCE", 0, "0"),
	AFTER_COMMIT("PRODUCE", 0, "1"),
	AFTER_COMMIT("PRODUCE", M, "0"),
	AFTER_COMMIT("PRODUCE", M, "1"),
	AFTER_COMMIT("CONSUME", 0, "0"),
	AFTER_COMMIT("CONSUME", 0, "1"),
	AFTER_COMMIT("CONSUME", M, "0"),
	AFTER_COMMIT("CONSUME", M, "1"),
};

static void test_state(void **state)
{
	(void)state;
	ROWS(state_rows);
}

static void test_resume(void **state)
{
	(void)state;
	ROWS(resume_rows);
}

static void test_limit(void **state)
{
	(void)state;
	ROWS(limit_rows);
}

static void test_token(void **state)
{
	(void)state;
	ROWS(token_rows);
}

static void test_caps(void **state)
{
	(void)state;
	ROWS(caps_rows);
}

static void test_key(void **state)
{
	(void)state;
	ROWS(key_rows);
}

static void test_policy(void **state)
{
	(void)state;
	ROWS(policy_rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
