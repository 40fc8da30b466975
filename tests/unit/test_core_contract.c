// SPDX-License-Identifier: BSD-3-Clause
/* The wire contract of the control core, row by row. Names begin with the section of protocol.md. */
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

#define INVALID(text)                                                                              \
	"open A\nA! " text                                                                         \
	"\nA= {'type':'ACK','ack':{'ok':false,'error':{'code':'VALIDATION_FAILED','message':"      \
	"'Invalid envelope','retryable':false,'details':{}}}}\nA-\n"
#define INVALID_SEQ(seq)                                                                           \
	"open A\nA! {'v':1,'type':'PING','msgId':'m','ts':1" seq                                   \
	"}\nA= {'ack':{'ackOfMsgId':'m','ok':false,'error':{'code':'VALIDATION_FAILED','message':" \
	"'Missing or invalid seq'}}}\n"                                                            \
	"A! {'v':1,'type':'PING','msgId':'m','ts':1,'seq':1}\nA= {'ack':{'ok':true}}\nA-\n"
#define PING(id, seq) "A! {'v':1,'type':'PING','msgId':'" id "','ts':1,'seq':" seq "}\n"
#define UNAUTH(type)                                                                               \
	{                                                                                          \
		"A5 AUTH required: " type, 0, "",                                                  \
			"open A\nA> " type "\nA< ACK UNAUTHENTICATED {'message':'AUTH "            \
			"required','retryable':true}\nA-\n"                                        \
	}
#define OUTSIDER(type)                                                                             \
	{                                                                                          \
		"A5 Not a room member: " type, 0, "",                                              \
			IN("A", "a") "A> " type                                                    \
				     "\nA< ACK UNAUTHORIZED {'message':'Not a room member',"       \
				     "'retryable':false}\nA> " type                                \
				     " {'roomId':'nowhere'}\nA< ACK UNAUTHORIZED\nA-\n"            \
	}
#define GATED(type, mode)                                                                          \
	{                                                                                          \
		"A7 gate shut: " type, mode, "",                                                   \
			MEMBER("A", "a") "A> " type " {'transportId':'x','producerId':'x'}\nA< "   \
					 "ACK E2EE_NOT_READY {'message':"                          \
					 "'E2EE readiness required before media "                  \
					 "operations','retryable':true,"                           \
					 "'details':{'expectedEpoch':0}}\nA-\n"                    \
	}

static const struct script envelope_rows[] = {
	{"A2 no JSON is dropped", 0, "", "open A\nA! {nonsense\nA! \nA! hello\nA! {'v':1}x\nA-\n"},
	{"A2 null", 0, "", INVALID("null")},
	{"A2 number", 0, "", INVALID("5")},
	{"A2 string", 0, "", INVALID("'x'")},
	{"A2 array", 0, "", INVALID("[1,2]")},
	{"A2 empty object", 0, "", INVALID("{}")},
	{"A2 v is 2", 0, "", INVALID("{'v':2,'type':'PING','msgId':'m','ts':1,'seq':1}")},
	{"A2 v is a string", 0, "", INVALID("{'v':'1','type':'PING','msgId':'m','ts':1,'seq':1}")},
	{"A2 v missing", 0, "", INVALID("{'type':'PING','msgId':'m','ts':1,'seq':1}")},
	{"A2 type is a number", 0, "", INVALID("{'v':1,'type':5,'msgId':'m','ts':1,'seq':1}")},
	{"A2 type missing", 0, "", INVALID("{'v':1,'msgId':'m','ts':1,'seq':1}")},
	{"A2 ts is a string", 0, "", INVALID("{'v':1,'type':'PING','msgId':'m','ts':'1','seq':1}")},
	{"A2 msgId missing", 0, "", INVALID("{'v':1,'type':'PING','ts':1,'seq':1}")},
	{"A3 ackOfMsgId keeps the type of a number", 0, "",
		"open A\nA! {'v':1,'type':'PING','msgId':5,'ts':1,'seq':1}\n"
		"A= {'ack':{'ackOfMsgId':5,'ok':false}}\nA-\n"},
	{"A3 ackOfMsgId is made up for null", 0, "",
		"open A\nA! {'v':1,'type':'PING','msgId':null,'ts':1,'seq':1}\n"
		"A= {'ack':{'ackOfMsgId':'*','ok':false}}\nA-\n"},
	{"A2 empty msgId", 0, "",
		"open A\n" PING(
			"", "1") "A= {'ack':{'ackOfMsgId':'','ok':true,'error':'-'}}\nA-\n"},
	{"A2 duplicate key", 0, "",
		INVALID("{'v':1,'v':1,'type':'PING','msgId':'m','ts':1,'seq':1}")},
	{"A2 too deep", 0, "", INVALID("{'a':[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}")},
	{"A2 payload that is no object counts as {}", 0, "",
		"open A\nA! {'v':1,'type':'PING','msgId':'m','ts':1,'seq':1,'payload':[1]}\n"
		"A= {'ack':{'ok':true}}\n"
		"A! {'v':1,'type':'HELLO','msgId':'n','ts':1,'seq':2,'payload':null}\n"
		"A= {'type':'WELCOME'}\nA= {'ack':{'ok':true}}\nA-\n"},
	{"A4.3 a frame with ack is dropped", 0, "",
		"open A\nA! {'v':1,'type':'PING','msgId':'m','ts':1,'ack':{}}\nA-\n"
		"A! {'v':1,'type':'PING','msgId':'m','ts':1,'seq':1,'ack':true}\nA-\n" PING(
			"m", "1") "A= {'ack':{'ok':true}}\n"},
	{"A4.4 seq missing", 0, "", INVALID_SEQ("")},
	{"A4.4 seq is a string", 0, "", INVALID_SEQ(",'seq':'1'")},
	{"A4.4 seq is 1.5", 0, "", INVALID_SEQ(",'seq':1.5")},
	{"A4.4 seq is 0", 0, "", INVALID_SEQ(",'seq':0")},
	{"A4.4 seq is negative", 0, "", INVALID_SEQ(",'seq':-1")},
	{"A4.4 seq is null", 0, "", INVALID_SEQ(",'seq':null")},
	{"A4.4 seq 5.0 is an integer", 0, "",
		"open A\n" PING("m", "5.0") "A= {'ack':{'ok':true}}\nA-\n"},
	{"A4.5 a repeated msgId with its old seq is accepted, without a result", 0, "",
		"open A\n"
		"A! {'v':1,'type':'HELLO','msgId':'m','ts':1,'seq':1}\nA= {'type':'WELCOME'}\n"
		"A= {'ack':{'ok':true}}\n"
		"A! {'v':1,'type':'HELLO','msgId':'m','ts':1,'seq':1}\n"
		"A= {'type':'ACK','ack':{'ackOfMsgId':'m','ok':true}}\nA-\n"},
	{"A4.6 a seq that does not rise", 0, "",
		"open A\n" PING("m", "3") "A= {'ack':{'ok':true}}\n" PING("n",
			"3") "A= "
			     "{'ack':{'ackOfMsgId':'n','ok':false,'error':{'code':'REPLAY_DETECTED'"
			     ","
			     "'message':'Non-monotonic seq rejected','retryable':false}}}\n" PING(
				     "o", "2") "A= "
					       "{'ack':{'ok':false,'error':{'code':'REPLAY_"
					       "DETECTED'}}}\n"},
	{"A4.6 a refused msgId may come again with a higher seq", 0, "",
		"open A\n" PING("m", "3") "A~\n" PING("n", "3") "A= {'ack':{'ok':false}}\n" PING(
			"n", "4") "A= {'ack':{'ok':true}}\nA-\n"},
	{"A4.7 gaps are fine", 0, "",
		"open A\n" PING("m", "2") "A= {'ack':{'ok':true}}\n" PING(
			"n", "500") "A= {'ack':{'ok':true}}\nA-\n"},
	{"C4 a repeated msgId repeats the refusal", 0, "",
		"open A\n"
		"A! {'v':1,'type':'NOPE','msgId':'m','ts':1,'seq':1}\n"
		"A= {'ack':{'ok':false,'error':{'message':'Unsupported type: NOPE'}}}\n"
		"A! {'v':1,'type':'NOPE','msgId':'m','ts':1,'seq':2}\n"
		"A= {'ack':{'ackOfMsgId':'m','ok':false,'error':{'code':'VALIDATION_FAILED',"
		"'message':'Unsupported type: NOPE','retryable':false}}}\nA-\n"},
	{"C4 … with its details", 0, "",
		MEMBER("A",
			"a") "A! {'v':1,'type':'TRANSPORT_CREATE','msgId':'m','ts':1,'seq':100}\n"
			     "A= "
			     "{'ack':{'error':{'code':'E2EE_NOT_READY','details':{'expectedEpoch':"
			     "0}}}}\n"
			     "A! "
			     "{'v':1,'type':'E2EE_READY','msgId':'n','ts':1,'seq':101,'payload':{'"
			     "epoch':0}}\n"
			     "A= {'ack':{'ok':true}}\n"
			     "A! {'v':1,'type':'TRANSPORT_CREATE','msgId':'m','ts':1,'seq':100}\n"
			     "A= "
			     "{'ack':{'error':{'code':'E2EE_NOT_READY','details':{'expectedEpoch':"
			     "0}}}}\nA-\n"},
	{"C4 … with a message of its own and details", 0, "participants=1",
		MEMBER("A", "a")
			IN("C", "c") "C! {'v':1,'type':'ROOM_JOIN','msgId':'m','ts':1,'seq':100,"
				     "'payload':{'roomId':'room'}}\n"
				     "C~\n"
				     "C! {'v':1,'type':'ROOM_JOIN','msgId':'m','ts':1,'seq':100,"
				     "'payload':{'roomId':'room'}}\n"
				     "C= {'ack':{'error':{'code':'ROOM_FULL','message':'Max "
				     "participants exceeded (1)','details':{'roomId':'room'}}}}\n"
				     "C-\n"},
	{"C4 a repeat of what still runs waits for its outcome", 0, "",
		"open A\n"
		"A! "
		"{'v':1,'type':'AUTH','msgId':'m','ts':1,'seq':1,'payload':{'accessToken':'hold'}}"
		"\n"
		"A! "
		"{'v':1,'type':'AUTH','msgId':'m','ts':1,'seq':1,'payload':{'accessToken':'hold'}}"
		"\n"
		"A-\nauth A bad\n"
		"A= {'ack':{'ok':false,'error':{'code':'UNAUTHENTICATED'}}}\n"
		"A= {'ack':{'ok':false,'error':{'code':'UNAUTHENTICATED'}}}\nA-\n"},
	{"C28 msgId of 129 octets", 0, "",
		"open A\nA! {'v':1,'type':'PING','msgId':'@129','ts':1,'seq':1}\n"
		"A= {'ack':{'ok':false,'error':{'code':'VALIDATION_FAILED','message':'Invalid "
		"msgId'}}}\nA! {'v':1,'type':'PING','msgId':'@128','ts':1,'seq':1}\n"
		"A= {'ack':{'ok':true}}\nA-\n"},
	{"C28 msgId with a control character", 0, "",
		"open A\n" PING(
			"a\\u0007b", "1") "A= {'ack':{'ok':false,'error':{'message':'Invalid "
					  "msgId'}}}\nA-\n"},
	{"A5 unknown type, before AUTH too", 0, "",
		"open A\nA> ROOM_DANCE\nA< ACK VALIDATION_FAILED {'message':'Unsupported type: "
		"ROOM_DANCE','retryable':false,'details':{}}\nA> REKEY_ABORT\n"
		"A< ACK VALIDATION_FAILED {'message':'Unsupported type: REKEY_ABORT'}\n"
		"A> ping\nA< ACK VALIDATION_FAILED {'message':'Unsupported type: ping'}\nA-\n"},
	{"A5 a long unknown type is cut", 0, "",
		"open A\nA! {'v':1,'type':'@5000','msgId':'m','ts':1,'seq':1}\n"
		"A= {'ack':{'error':{'code':'VALIDATION_FAILED','message':'*'}}}\nA-\n"},
};

static const struct script session_rows[] = {
	UNAUTH("E2EE_CAPS"),
	UNAUTH("ROOM_CREATE"),
	UNAUTH("ROOM_JOIN"),
	UNAUTH("ROOM_LEAVE"),
	UNAUTH("GET_ROUTER_RTP_CAPABILITIES"),
	UNAUTH("E2EE_READY"),
	UNAUTH("REKEY_BEGIN"),
	UNAUTH("REKEY_COMMIT"),
	UNAUTH("KEY_PACKAGE"),
	UNAUTH("KEY_ACK"),
	UNAUTH("TRANSPORT_CREATE"),
	UNAUTH("TRANSPORT_CONNECT"),
	UNAUTH("ICE_RESTART"),
	UNAUTH("PRODUCE"),
	UNAUTH("CONSUME"),
	UNAUTH("CONSUMER_RESUME"),
	{"A6 PING before AUTH", 0, "", "open A\nA> PING\nA< ACK ok\nA-\n"},
	{"A6 HELLO: WELCOME, then ACK", 0, "heartbeat=17",
		"open A\nA> HELLO {'client':{'deviceId':'d-1','platform':'web'}}\n"
		"A= {'type':'WELCOME','seq':1,'ack':'-','payload':{'serverTime':'#',"
		"'heartbeatSec':17,'resumeToken':'*','features':{'wsSeqRequired':true,"
		"'e2eeRequiredDefault':true,'sframeRequired':false,'sfuEnabled':true}}}\n"
		"A< ACK ok\nA-\n"},
	{"A6 HELLO is repeatable, a missing deviceId keeps the last", 0, "",
		"open A\nA> HELLO {'client':{'deviceId':'d-1'}}\nA> HELLO {}\nA~\n"
		"A> AUTH {'accessToken':'user-a'}\nA< AUTH_OK {'userId':'a','deviceId':'d-1'}\n"
		"A< ACK ok\nA-\n"},
	{"A6 without HELLO there is a deviceId too", 0, "",
		"open A\nA> AUTH {'accessToken':'user-a'}\nA< AUTH_OK {'deviceId':'$d'}\n"
		"A< ACK ok\nA> AUTH {'accessToken':'user-a'}\nA< AUTH_OK {'deviceId':'$d'}\n"
		"A< ACK ok\n"},
	{"A6 features follow the settings", 0, "required=0 sframe=1",
		"open A\nA> HELLO\nA< WELCOME {'features':{'e2eeRequiredDefault':false,"
		"'sframeRequired':true}}\nA< ACK ok\n"},
	{"C28 HELLO with a bad deviceId", 0, "",
		"open A\nA> HELLO {'client':{'deviceId':7}}\n"
		"A< ACK VALIDATION_FAILED {'message':'Invalid deviceId'}\n"
		"A> HELLO {'client':{'deviceId':'@129'}}\n"
		"A< ACK VALIDATION_FAILED {'message':'Invalid deviceId'}\n"
		"A> HELLO {'client':{'deviceId':'a\\nb'}}\n"
		"A< ACK VALIDATION_FAILED {'message':'Invalid deviceId'}\n"
		"A> HELLO {'client':{'deviceId':'@128'}}\nA< WELCOME\nA< ACK ok\nA-\n"},
	{"A6 AUTH: AUTH_OK, then ACK", 0, "",
		"open A\nA> HELLO {'client':{'deviceId':'d'}}\nA~\n"
		"A> AUTH {'accessToken':'user-a','deviceId':'other'}\n"
		"A= {'type':'AUTH_OK','seq':2,'payload':{'userId':'a','deviceId':'d'}}\nA< ACK ok\n"
		"A-\nfigures {'bound':1,'peers':0}\nclose A\nfigures {'bound':0}\n"},
	{"A5 AUTH refused", 0, "",
		"open A\nA> AUTH {'accessToken':'bad'}\nA< ACK UNAUTHENTICATED {'message':"
		"'Invalid accessToken','retryable':false,'details':{}}\nA> AUTH\n"
		"A< ACK UNAUTHENTICATED\nA> AUTH {'accessToken':5}\nA< ACK UNAUTHENTICATED\nA-\n"},
	{"C20 auth server down", 0, "",
		"open A\nA> AUTH {'accessToken':'down'}\nA< ACK UNAUTHENTICATED {'message':"
		"'Invalid accessToken','retryable':true,'details':{'reason':'auth_unavailable'}}\n"
		"A-\n"},
	{"C20 no memory to check a token: answered all the same, and those behind it are", 0, "",
		"open A\nA> AUTH {'accessToken':'nomem'}\nA> PING\nA< ACK UNAUTHENTICATED "
		"{'message':'Invalid accessToken','retryable':true,"
		"'details':{'reason':'auth_unavailable'}}\nA< ACK ok\n"
		"A> AUTH {'accessToken':'user-a'}\nA< AUTH_OK\nA< ACK ok\nA-\n"},
	{"A6 AUTH again may change the user; a refusal keeps the last", 0, "",
		IN("A", "a") "A> AUTH {'accessToken':'user-b'}\nA< AUTH_OK {'userId':'b'}\n"
			     "A< ACK ok\nA> AUTH {'accessToken':'bad'}\nA< ACK UNAUTHENTICATED\n"
			     "A> ROOM_CREATE\nA< ROOM_CREATED\nA< ACK ok\n"
			     "figures {'bound':1}\n"},
	{"C3 frames wait for AUTH, answers come in order", 0, "",
		"open A\nA> AUTH {'accessToken':'hold'}\nA> ROOM_CREATE {'roomId':'x'}\nA> PING\n"
		"A-\nauth A user-a\nA< AUTH_OK\nA< ACK ok\nA< ROOM_CREATED\nA< ACK ok\nA< ACK ok\n"
		"A-\n"},
	{"C3 the queue is bounded: 128 frames", 0, "",
		"open A\nA> AUTH {'accessToken':'hold'}\n"
#define EIGHT "A> PING\nA> PING\nA> PING\nA> PING\nA> PING\nA> PING\nA> PING\nA> PING\n"
#define SIXTYFOUR EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT
		SIXTYFOUR SIXTYFOUR "A closed 0\nA> PING\nA closed 1008\nauth A user-a\nA-\n"
		"close A\n"},
	{"C3 the queue is bounded: 1 MiB", 0, "",
		"open A\nA> AUTH {'accessToken':'hold'}\nA> PING {'x':'@500000'}\n"
		"A> PING {'x':'@500000'}\nA closed 0\nA> PING {'x':'@500000'}\nA closed 1008\n"
		"close A\n"},
	{"C29 the answer of AUTH after the socket is gone", 0, "",
		"open A\nA> AUTH {'accessToken':'hold'}\nA> PING\nclose A\nauth A user-a\n"
		"figures {'bound':0}\nopen A\nA> PING\nA< ACK ok\nA-\n"},
	{"A6 E2EE_CAPS", 0, "",
		"open A\nA> AUTH {'accessToken':'user-a'}\nA~\n"
		"A> E2EE_CAPS {'insertableStreams':true,'foo':1}\nA< ACK ok\nA-\n"},
	{"A5 E2EE_CAPS without insertable streams", 0, "",
		"open A\nA> AUTH {'accessToken':'user-a'}\nA~\nA> E2EE_CAPS\n"
		"A< ACK UNSUPPORTED_E2EE {'message':'Insertable Streams capability is required',"
		"'retryable':false}\nA> E2EE_CAPS {'insertableStreams':'true'}\n"
		"A< ACK UNSUPPORTED_E2EE\nA-\n"},
	{"A5 E2EE_CAPS without SFrame", 0, "sframe=1",
		"open A\nA> AUTH {'accessToken':'user-a'}\nA~\n"
		"A> E2EE_CAPS {'insertableStreams':true}\n"
		"A< ACK UNSUPPORTED_E2EE {'message':'SFrame capability is required'}\n"
		"A> E2EE_CAPS {'insertableStreams':true,'sframe':1}\nA< ACK UNSUPPORTED_E2EE\n"
		"A> E2EE_CAPS {'insertableStreams':true,'sframe':true}\nA< ACK ok\nA-\n"},
	{"A5 caps are stored on refusal: the last one sent counts", 0, "",
		IN("A", "a") "A> E2EE_CAPS {'insertableStreams':false}\nA< ACK UNSUPPORTED_E2EE\n"
			     "A> ROOM_JOIN {'roomId':'room'}\nA< ACK UNSUPPORTED_E2EE\nA-\n"},
	{"C2 seq goes on for a device that comes back", 0, "",
		IN("A", "a") // WELCOME 1, AUTH_OK 2
		"close A\nopen A\nA> HELLO {'client':{'deviceId':'dev-A'}}\n"
		"A= {'type':'WELCOME','seq':3}\nA~\nclose A\n"
		"open A\nA> HELLO {'client':{'deviceId':'dev-B'}}\nA= "
		"{'type':'WELCOME','seq':1}\n"},
	{"C2 … also while its old connection is not gone yet", 0, "",
		IN("A", "a") "open B\nB> HELLO {'client':{'deviceId':'dev-A'}}\n"
			     "B= {'type':'WELCOME','seq':3}\nB< ACK ok\n"},
	{"C2 … for ten minutes", 0, "",
		IN("A", "a") "close A\ntime 600001\nopen A\n"
			     "A> HELLO {'client':{'deviceId':'dev-A'}}\n"
			     "A= {'type':'WELCOME','seq':1}\n"},
	{"C2 not for devices that never authenticated", 0, "",
		"open A\nA> HELLO {'client':{'deviceId':'dev-A'}}\nA~\nclose A\n"
		"open A\nA> HELLO {'client':{'deviceId':'dev-A'}}\nA= "
		"{'type':'WELCOME','seq':1}\n"},
	{"C23 a silent socket without AUTH is closed", 0, "auth_deadline_sec=30",
		"open A\ntime 20000\nA> PING\nA~\ntime 29000\nA closed 0\ntime 2000\nA closed "
		"1008\n"
		"close A\n"},
	{"C23 … not one that authenticated", 0, "auth_deadline_sec=30",
		IN("A", "a") "time 600000\nA closed 0\nA> PING\nA< ACK ok\n"},
};

static const struct script room_rows[] = {
	{"A6 ROOM_CREATE with everything", 0, "",
		IN("A", "a") "A> ROOM_CREATE {'roomId':'r','callId':'c','preferredRegion':'ru'}\n"
			     "A= {'type':'ROOM_CREATED','seq':3,'payload':{'roomId':'r',"
			     "'callId':'c','region':'ru','nodeId':'node-1','epoch':0,"
			     "'memberSetVersion':0}}\nA< ACK ok\nA-\nfigures "
			     "{'rooms':1,'peers':0}\n"
			     "regions {'ru':1,'tr':'-'}\n"},
	{"A6 ROOM_CREATE defaults", 0, "",
		IN("A", "a") "A> ROOM_CREATE\nA< ROOM_CREATED {'roomId':'*','callId':'*',"
			     "'region':'tr'}\nA< ACK ok\n"},
	{"A6 ROOM_CREATE is idempotent: its own callId and region", 0, "",
		IN("A", "a") "A> ROOM_CREATE {'roomId':'r','callId':'c','preferredRegion':'ru'}\n"
			     "A~\nA> ROOM_CREATE {'roomId':'r','callId':'d'}\n"
			     "A< ROOM_CREATED {'callId':'c','region':'ru'}\nA< ACK ok\n"
			     "figures {'rooms':1}\n"},
	{"A6 ROOM_CREATE needs no caps and does not join", 0, "",
		"open A\nA> AUTH {'accessToken':'user-a'}\nA~\nA> ROOM_CREATE {'roomId':'r'}\n"
		"A< ROOM_CREATED\nA< ACK ok\nA> E2EE_READY {'roomId':'r','epoch':0}\n"
		"A< ACK UNAUTHORIZED\n"},
	{"C28 ROOM_CREATE with bad ids", 0, "",
		IN("A", "a") "A> ROOM_CREATE {'roomId':{}}\n"
			     "A< ACK VALIDATION_FAILED {'message':'Invalid roomId'}\n"
			     "A> ROOM_CREATE {'callId':'@129'}\n"
			     "A< ACK VALIDATION_FAILED {'message':'Invalid callId'}\n"
			     "A> ROOM_CREATE {'preferredRegion':true}\n"
			     "A< ACK VALIDATION_FAILED {'message':'Invalid preferredRegion'}\n"
			     "figures {'rooms':0}\n"},
	{"C23 number of rooms", 0, "rooms=1",
		IN("A", "a") "A> ROOM_CREATE {'roomId':'r'}\nA~\nA> ROOM_CREATE {'roomId':'s'}\n"
			     "A< ACK RATE_LIMITED {'retryable':true}\nA> ROOM_JOIN {'roomId':'s'}\n"
			     "A< ACK RATE_LIMITED\nA> ROOM_CREATE {'roomId':'r'}\nA< "
			     "ROOM_CREATED\n"},
	{"C23 a room that is never joined expires", 0, "empty_room_sec=60",
		IN("A", "a") "A> ROOM_CREATE {'roomId':'r'}\nA~\ntime 59000\nfigures {'rooms':1}\n"
			     "A> ROOM_CREATE {'roomId':'s'}\nA~\ntime 2000\nfigures {'rooms':1}\n"
			     "time 60000\nfigures {'rooms':0}\n"},
	{"C23 a joined room does not", 0, "empty_room_sec=60",
		MEMBER("A", "a") "time 600000\nfigures {'rooms':1}\n"},
	{"A3 A6 ROOM_JOIN: the whole answer, in order", 0, "",
		IN("A", "a") "A> ROOM_JOIN {'roomId':'room','callId':'call'}\n"
			     "A= {'type':'ROOM_JOIN_OK','seq':3,'payload':{'roomId':'room',"
			     "'callId':'call','region':'tr','nodeId':'node-1','epoch':0,"
			     "'memberSetVersion':1,'mediasoup':{'routerRtpCapabilities':"
			     "{'codecs':[]},'sendTransportOptions':{'id':'send_dev-A',"
			     "'iceParameters':{},'dtlsParameters':{}},'recvTransportOptions':"
			     "{'id':'recv_dev-A','iceParameters':{},'dtlsParameters':{}}},"
			     "'e2ee':{'required':true,'epoch':0}}}\n"
			     "A= {'type':'E2EE_POLICY','seq':4,'payload':{'required':true,"
			     "'epoch':0,'rekeyOnJoin':true}}\n"
			     "A= {'type':'ROOM_SNAPSHOT','seq':5,'payload':{'roomId':'room',"
			     "'callId':'call','region':'tr','nodeId':'node-1','epoch':0,"
			     "'memberSetVersion':1,'roomVersion':1,'serverTime':'#','peers':["
			     "{'userId':'a','deviceId':'dev-A','role':'member','state':'joined',"
			     "'e2eeReady':false,'peerId':'-'}],'producers':[],'e2ee':"
			     "{'required':true,'epoch':0,'leaderDeviceId':'dev-A',"
			     "'expectedSenderDevices':['dev-A'],'missingSenderKeys':[]}}}\n"
			     "A< ACK ok\nA-\nfigures {'rooms':1,'peers':1}\n"},
	{"A6 PEER_JOINED to the others only, before the ACK", 0, "",
		MEMBER("A", "a") IN(
			"B", "b") "B> ROOM_JOIN {'roomId':'room'}\n"
				  "A= "
				  "{'type':'PEER_JOINED','seq':'-','payload':{'roomId':'room','"
				  "userId':'b',"
				  "'deviceId':'dev-B','peerId':'dev-B'}}\nA-\n"
				  "B< ROOM_JOIN_OK {'memberSetVersion':2}\nB< E2EE_POLICY\n"
				  "B< ROOM_SNAPSHOT {'roomVersion':2,'peers':[{'deviceId':'dev-A'},"
				  "{'deviceId':'dev-B'}],'e2ee':{'leaderDeviceId':'dev-A',"
				  "'expectedSenderDevices':['dev-A','dev-B']}}\nB< ACK ok\nB-\n"},
	{"A5 ROOM_JOIN without roomId", 0, "",
		IN("A", "a") "A> ROOM_JOIN\nA< ACK VALIDATION_FAILED {'message':'Missing roomId'}\n"
			     "A> ROOM_JOIN {'roomId':''}\n"
			     "A< ACK VALIDATION_FAILED {'message':'Missing roomId'}\n"
			     "A> ROOM_JOIN {'roomId':null}\n"
			     "A< ACK VALIDATION_FAILED {'message':'Missing roomId'}\n"
			     "A> ROOM_JOIN {'roomId':5}\n"
			     "A< ACK VALIDATION_FAILED {'message':'Invalid roomId'}\n"
			     "figures {'rooms':0}\n"},
	{"A5 ROOM_JOIN without caps", 0, "",
		"open A\nA> AUTH {'accessToken':'user-a'}\nA~\nA> ROOM_JOIN {'roomId':'r'}\n"
		"A< ACK UNSUPPORTED_E2EE {'message':'E2EE_CAPS with insertableStreams=true "
		"required "
		"before ROOM_JOIN','retryable':false}\nfigures {'rooms':0}\n"},
	{"A5 ROOM_JOIN without SFrame", 0, "sframe=1",
		"open A\nA> AUTH {'accessToken':'user-a'}\nA~\n"
		"A> E2EE_CAPS {'insertableStreams':true}\nA< ACK UNSUPPORTED_E2EE\n"
		"A> ROOM_JOIN {'roomId':'r'}\nA< ACK UNSUPPORTED_E2EE {'message':"
		"'SFrame capability is required before joining the room'}\n"},
	{"A7 not required: no caps, ready at once, gate open", 0, "required=0",
		"open A\nA> AUTH {'accessToken':'user-a'}\nA~\nA> ROOM_JOIN {'roomId':'r'}\n"
		"A< ROOM_JOIN_OK {'e2ee':{'required':false}}\nA< E2EE_POLICY {'required':false}\n"
		"A< ROOM_SNAPSHOT {'peers':[{'e2eeReady':true}],'e2ee':{'required':false}}\n"
		"A< ACK ok\n" SEND("A", "$t") "A> REKEY_COMMIT {'epoch':3}\nA< REKEY_COMMIT\n"
					      "A< ACK ok\n" SEND("A", "$u")},
	{"A7 not required, but SFrame still applies", 0, "required=0 sframe=1",
		"open A\nA> AUTH {'accessToken':'user-a'}\nA~\nA> ROOM_JOIN {'roomId':'r'}\n"
		"A< ACK UNSUPPORTED_E2EE {'message':'SFrame capability is required before joining "
		"the room'}\n"},
	{"A6 ROOM_JOIN: deviceId overrides HELLO's", 0, "",
		IN("A", "a") "A> ROOM_JOIN {'roomId':'room','deviceId':'other'}\n"
			     "A< ROOM_JOIN_OK {'mediasoup':{'sendTransportOptions':"
			     "{'id':'send_other'}}}\nA< E2EE_POLICY\n"
			     "A< ROOM_SNAPSHOT {'peers':[{'deviceId':'other'}]}\nA< ACK ok\n"
			     "A> AUTH {'accessToken':'user-a'}\nA< AUTH_OK {'deviceId':'other'}\n"},
	{"A6 ROOM_JOIN: callId and region only when it creates", 0, "",
		IN("A", "a") "A> ROOM_CREATE "
			     "{'roomId':'room','callId':'c','preferredRegion':'ae'}\n"
			     "A~\nA> ROOM_JOIN {'roomId':'room','callId':'d'}\n"
			     "A< ROOM_JOIN_OK {'callId':'c','region':'ae'}\n"},
	{"B2 ROOM_FULL", 0, "participants=2",
		MEMBER("A", "a") MEMBER("B", "b")
			IN("C", "c") "A~\nC> ROOM_JOIN {'roomId':'room'}\n"
				     "C< ACK ROOM_FULL {'message':'Max participants exceeded "
				     "(2)','retryable':false,"
				     "'details':{'roomId':'room'}}\nA-\n"
				     "A> ROOM_JOIN {'roomId':'room'}\nA< ROOM_JOIN_OK\n"},
	{"C10 re-join: position kept, readiness reset, versions rise", 0, "",
		READY("A", "a") MEMBER("B",
			"b") "A> ROOM_JOIN {'roomId':'room'}\nB< PEER_JOINED "
			     "{'deviceId':'dev-A'}\nB-\nA< PEER_JOINED {'deviceId':'dev-B'}\n"
			     "A< ROOM_JOIN_OK {'memberSetVersion':3}\nA< E2EE_POLICY\n"
			     "A< ROOM_SNAPSHOT {'peers':[{'deviceId':'dev-A','e2eeReady':false},"
			     "{'deviceId':'dev-B'}],'e2ee':{'leaderDeviceId':'dev-A'}}\nA< ACK ok\n"
			     "A> TRANSPORT_CREATE\nA< ACK E2EE_NOT_READY\nfigures {'peers':2}\n"},
	{"C10 re-join frees the old media objects", 0, "",
		CALL "A> ROOM_JOIN {'roomId':'room'}\nB< PRODUCER_REMOVED {'producerId':'$pa',"
		     "'reason':'closed'}\nB< PEER_JOINED\nB-\nA< ROOM_JOIN_OK\nA< E2EE_POLICY\n"
		     "A< ROOM_SNAPSHOT {'producers':[]}\nA< ACK ok\nA-\n"
		     "figures {'producers':0,'transports':1}\n"},
	{"C10 a second room: the first is left", 0, "",
		MEMBER("A", "a") MEMBER("B",
			"b") "A~\nA> ROOM_JOIN {'roomId':'other'}\n"
			     "B< PEER_LEFT {'roomId':'room','deviceId':'dev-A'}\nB-\n"
			     "A< ROOM_JOIN_OK {'roomId':'other','memberSetVersion':1}\nA< "
			     "E2EE_POLICY\n"
			     "A< ROOM_SNAPSHOT\nA< ACK ok\nA-\nfigures {'rooms':2,'peers':2}\n"},
	{"C10 a refused join leaves nothing", 0, "participants=2",
		MEMBER("A", "a") MEMBER("B", "b")
			IN("C", "c") "C> ROOM_JOIN {'roomId':'mine'}\nC~\nA~\nC> ROOM_JOIN "
				     "{'roomId':'room'}\n"
				     "C< ACK ROOM_FULL\nC> E2EE_READY "
				     "{'roomId':'mine','epoch':0}\nC< ACK ok\n"},
	{"C9 foreign deviceId of the same user: takeover", 0, "",
		READY("A", "a") MEMBER("B", "b") IN("C",
			"a") "A~\nC> ROOM_JOIN {'roomId':'room','deviceId':'dev-A'}\nA closed "
			     "4009\nA-\n"
			     "B< PEER_JOINED {'deviceId':'dev-A'}\nB-\nC< ROOM_JOIN_OK\nC< "
			     "E2EE_POLICY\n"
			     "C< ROOM_SNAPSHOT {'peers':[{'deviceId':'dev-A','e2eeReady':false},"
			     "{'deviceId':'dev-B'}]}\nC< ACK ok\nfigures {'peers':2}\n"
			     "close A\nB-\nC-\nfigures {'peers':2}\n"},
	{"C9 foreign deviceId of another user", 0, "",
		READY("A", "a") IN("C",
			"c") "C> ROOM_JOIN {'roomId':'room','deviceId':'dev-A'}\n"
			     "C< ACK UNAUTHORIZED {'message':'deviceId in use','retryable':false}\n"
			     "A closed 0\nA-\n" SEND("A", "$t")},
	{"C9 a renamed device is no member; a new join replaces the old name", 0, "",
		READY("A", "a") MEMBER("B", "b") "A~\nA> HELLO {'client':{'deviceId':'new'}}\nA~\n"
						 "A> TRANSPORT_CREATE\nA< ACK UNAUTHORIZED\nA> "
						 "ROOM_JOIN {'roomId':'room'}\n"
						 "B< PEER_LEFT {'deviceId':'dev-A'}\nB< "
						 "PEER_JOINED {'deviceId':'new'}\nB-\n"
						 "figures {'peers':2}\n"},
	{"C9 … also the only one in its room", 0, "",
		MEMBER("A",
			"a") "A> HELLO {'client':{'deviceId':'new'}}\nA~\n"
			     "A> ROOM_JOIN {'roomId':'room'}\nA~\nfigures {'rooms':1,'peers':1}\n"
			     "close A\nfigures {'rooms':0,'peers':0}\n"},
	{"A12 a closed socket leaves; the last one takes the room with it", 0, "",
		MEMBER("A", "a") MEMBER("B", "b") "A~\nclose B\n"
						  "A= "
						  "{'type':'PEER_LEFT','seq':'-','payload':{'"
						  "roomId':'room','userId':'b',"
						  "'deviceId':'dev-B','peerId':'dev-B'}}\nA-\n"
						  "A> ROOM_CREATE {'roomId':'room'}\nA< "
						  "ROOM_CREATED {'memberSetVersion':3}\nA~\n"
						  "close A\nfigures {'rooms':0,'peers':0}\n"},
	{"A12 C12 PRODUCER_REMOVED and CONSUMER_CLOSED before PEER_LEFT", 0, "",
		CALL CONSUME("B", "$pa",
			"$cb") "close A\n"
			       "B< PRODUCER_REMOVED "
			       "{'roomId':'room','producerId':'$pa','peerDeviceId':'dev-A',"
			       "'kind':'audio','reason':'peer_left'}\n"
			       "B< CONSUMER_CLOSED "
			       "{'roomId':'room','consumerId':'$cb','producerId':'$pa',"
			       "'reason':'peer_left'}\nB< PEER_LEFT\nB-\n"
			       "figures {'producers':0,'consumers':0,'transports':1}\n"},
	{"B2 C11 ROOM_LEAVE: ROOM_LEFT, ACK; PEER_LEFT to the rest", 0, "",
		MEMBER("A", "a") MEMBER("B",
			"b") "A~\nB> ROOM_LEAVE {'reason':'bye'}\n"
			     "B= {'type':'ROOM_LEFT','seq':6,'payload':{'roomId':'room'}}\nB< ACK "
			     "ok\nB-\n"
			     "A< PEER_LEFT {'deviceId':'dev-B'}\nA-\nB> E2EE_READY {'epoch':0}\n"
			     "B< ACK UNAUTHORIZED\nfigures {'peers':1}\nclose B\nA-\n"},
	{"B2 ROOM_LEAVE of who is not there", 0, "",
		IN("A", "a") "A> ROOM_LEAVE {'roomId':'x'}\nA< ROOM_LEFT {'roomId':'x'}\nA< ACK "
			     "ok\n"
			     "A> ROOM_LEAVE\nA< ROOM_LEFT\nA< ACK ok\nA-\n"},
	{"B2 ROOM_LEAVE of another room changes nothing", 0, "",
		MEMBER("A", "a") "A> ROOM_LEAVE {'roomId':'x'}\nA< ROOM_LEFT {'roomId':'x'}\n"
				 "A< ACK ok\nfigures {'peers':1}\n"},
	{"B2 GET_ROUTER_RTP_CAPABILITIES", 0, "",
		MEMBER("A", "a") IN("B",
			"b") "A> GET_ROUTER_RTP_CAPABILITIES\n"
			     "A= "
			     "{'type':'ROUTER_RTP_CAPABILITIES','seq':6,'payload':{'roomId':'room',"
			     "'routerRtpCapabilities':{'codecs':[]}}}\nA< ACK ok\nA-\n"
			     "B> GET_ROUTER_RTP_CAPABILITIES {'roomId':'room'}\nB< "
			     "ROUTER_RTP_CAPABILITIES\n"
			     "B< ACK ok\nB> GET_ROUTER_RTP_CAPABILITIES\nB< ACK UNAUTHORIZED\n"
			     "B> GET_ROUTER_RTP_CAPABILITIES {'roomId':'no'}\nB< ACK "
			     "UNAUTHORIZED\nB-\n"},
	{"B1.2 B3 fallback codecs where they are asked for", 0, "fallback_codecs=1",
		MEMBER("A", "a") "A> GET_ROUTER_RTP_CAPABILITIES\n"
				 "A< ROUTER_RTP_CAPABILITIES "
				 "{'routerRtpCapabilities':{'codecs':[{'kind':'audio',"
				 "'mimeType':'audio/"
				 "opus','clockRate':48000,'channels':2},{'kind':'video',"
				 "'mimeType':'video/VP8','clockRate':90000,'parameters':"
				 "{'x-google-start-bitrate':1000}}]}}\nA< ACK ok\n"},
	{"B1.2 media mode: the full list, VP9 first", M, "codecs=opus,VP9,VP8",
		IN("A", "a") "A> ROOM_JOIN {'roomId':'room'}\n"
			     "A< ROOM_JOIN_OK {'mediasoup':{'routerRtpCapabilities':{'codecs':["
			     "{'mimeType':'audio/opus','preferredPayloadType':100},"
			     "{'mimeType':'video/VP9','preferredPayloadType':103},"
			     "{'mimeType':'video/rtx','preferredPayloadType':104},"
			     "{'mimeType':'video/VP8','preferredPayloadType':101},"
			     "{'mimeType':'video/rtx','preferredPayloadType':102}]}}}\n"},
	{"A6 roomId that is another room", 0, "",
		READY("A", "a") "A> TRANSPORT_CREATE {'roomId':'other'}\nA< ACK UNAUTHORIZED\n"
				"A> TRANSPORT_CREATE {'roomId':7}\n"
				"A< ACK VALIDATION_FAILED {'message':'Invalid roomId'}\n"
				"A> TRANSPORT_CREATE {'roomId':'room'}\nA< TRANSPORT_CREATED\nA< "
				"ACK ok\n"},
	OUTSIDER("E2EE_READY"),
	OUTSIDER("TRANSPORT_CREATE"),
	OUTSIDER("TRANSPORT_CONNECT"),
	OUTSIDER("TRANSPORT_CLOSE"),
	OUTSIDER("PRODUCE"),
	OUTSIDER("PRODUCER_CLOSE"),
	OUTSIDER("CONSUME"),
	OUTSIDER("CONSUMER_RESUME"),
	OUTSIDER("REKEY_BEGIN"),
	OUTSIDER("REKEY_COMMIT"),
	OUTSIDER("KEY_PACKAGE"),
	OUTSIDER("KEY_ACK"),
};

/* One more than may wait for an AUTH that does not come. */
#define EIGHT_B "B> PING\nB> PING\nB> PING\nB> PING\nB> PING\nB> PING\nB> PING\nB> PING\n"
#define OVERFLOW_B                                                                                 \
	EIGHT_B EIGHT_B EIGHT_B EIGHT_B EIGHT_B EIGHT_B EIGHT_B EIGHT_B EIGHT_B EIGHT_B EIGHT_B    \
		EIGHT_B EIGHT_B EIGHT_B EIGHT_B EIGHT_B EIGHT_B

static const struct script key_rows[] = {
	GATED("TRANSPORT_CREATE", 0),
	GATED("TRANSPORT_CONNECT", 0),
	GATED("PRODUCE", 0),
	GATED("CONSUME", 0),
	GATED("TRANSPORT_CREATE", M),
	GATED("CONSUME", M),
	{"A7 E2EE_READY opens the gate, no broadcast, repeatable", 0, "",
		MEMBER("A", "a") MEMBER(
			"B", "b") "A~\nA> E2EE_READY {'epoch':0}\nA< ACK ok\n"
				  "A> E2EE_READY {'epoch':0}\nA< ACK ok\nA-\nB-\n" SEND("A", "$t")},
	{"A5 E2EE_READY for another epoch", 0, "",
		MEMBER("A", "a") "A> E2EE_READY {'epoch':1}\nA< ACK E2EE_EPOCH_MISMATCH {'message':"
				 "'E2EE readiness epoch "
				 "mismatch','retryable':true,'details':{'expectedEpoch':0}}\n"
				 "A> E2EE_READY {'epoch':0.5}\nA< ACK E2EE_EPOCH_MISMATCH\n"},
	{"A6 E2EE_READY with a numeric string", 0, "",
		MEMBER("A", "a") "A> E2EE_READY {'epoch':'0'}\nA< ACK ok\n"
				 "A> E2EE_READY {'epoch':'7'}\nA< ACK E2EE_EPOCH_MISMATCH\n"},
	{"A5 C17 E2EE_READY: nothing else is coerced", 0, "",
		MEMBER("A", "a")
#define BAD_EPOCH(e)                                                                               \
	"A> E2EE_READY {'epoch':" e "}\nA< ACK VALIDATION_FAILED {'message':'Missing or invalid "  \
	"epoch','retryable':false}\n"
			BAD_EPOCH("null") BAD_EPOCH("''") BAD_EPOCH("false") BAD_EPOCH(
				"true") BAD_EPOCH("[]") BAD_EPOCH("{}") BAD_EPOCH("-1")
				BAD_EPOCH("'-1'") BAD_EPOCH("' 0'") BAD_EPOCH("'0x0'") BAD_EPOCH(
					"1e999") "A> E2EE_READY\n"
						 "A< ACK VALIDATION_FAILED\nA> "
						 "TRANSPORT_CREATE\nA< ACK E2EE_NOT_READY\n"},
	{"A7 REKEY_COMMIT resets all, the committer too", 0, "",
		READY("A", "a") READY("B",
			"b") "A~\nA> REKEY_COMMIT {'epoch':1}\nA< REKEY_COMMIT\n"
			     "A< ACK ok\nA> TRANSPORT_CREATE\nA< ACK E2EE_NOT_READY {'details':"
			     "{'expectedEpoch':1}}\nB< REKEY_COMMIT\nB> TRANSPORT_CREATE\n"
			     "B< ACK E2EE_NOT_READY\nA> E2EE_READY {'epoch':0}\n"
			     "A< ACK E2EE_EPOCH_MISMATCH {'details':{'expectedEpoch':1}}\n"
			     "A> E2EE_READY {'epoch':1}\nA< ACK ok\n" SEND("A", "$t")},
	{"A7 media goes on through a commit", 0, "",
		CALL CONSUME(
			"B", "$pa", "$cb") "A> REKEY_COMMIT {'epoch':1}\nA~\nB~\n"
					   "figures {'producers':1,'consumers':1,'transports':2}\n"
					   "B> CONSUMER_RESUME {'consumerId':'$cb'}\nB< ACK ok\n"},
	{"C26 SFU_COMMITTER_READY", 0, "committer_ready=1",
		READY("A", "a") READY("B", "b") "A~\nA> REKEY_COMMIT {'epoch':1}\nA~\nB~\n"
						"A> TRANSPORT_CREATE\nA< TRANSPORT_CREATED\nA< ACK "
						"ok\nB> TRANSPORT_CREATE\n"
						"B< ACK E2EE_NOT_READY\n"},
	{"C7 REKEY_COMMIT must rise", 0, "",
		READY("A", "a") READY("B", "b") "A> REKEY_COMMIT {'epoch':5}\nA~\nB~\n"
#define BAD_COMMIT(e)                                                                              \
	"A> REKEY_COMMIT {'epoch':" e "}\nA< ACK E2EE_EPOCH_MISMATCH {'retryable':true,"           \
	"'details':{'expectedEpoch':6}}\n"
		BAD_COMMIT("4") BAD_COMMIT("-1") BAD_COMMIT("5.5") BAD_COMMIT("9007199254740992")
			BAD_COMMIT("1e300") "A-\nB-\n"},
	{"C7 the largest epoch is accepted", 0, "",
		READY("A", "a") "A> REKEY_COMMIT {'epoch':9007199254740991}\nA< REKEY_COMMIT "
				"{'epoch':9007199254740991}\nA< ACK ok\nA> E2EE_READY "
				"{'epoch':9007199254740991}\n"
				"A< ACK ok\n"},
	{"C7 equal epoch: ok, no reset, no relay", 0, "",
		READY("A", "a") READY(
			"B", "b") "A> REKEY_COMMIT {'epoch':1}\nA~\nB~\n"
				  "A> E2EE_READY {'epoch':1}\nA~\nB> REKEY_COMMIT {'epoch':1}\nB< "
				  "ACK ok\nB-\nA-\n" SEND("A",
					  "$t") "B> TRANSPORT_CREATE\nB< ACK E2EE_NOT_READY\n"},
	{"C7 no epoch or a string: relay only", 0, "",
		READY("A", "a")
			READY("B", "b") "A~\nA> REKEY_COMMIT\nA< REKEY_COMMIT\nA< ACK ok\n"
					"A> REKEY_COMMIT {'epoch':'1'}\nA< REKEY_COMMIT "
					"{'epoch':'1'}\nA< ACK ok\n"
					"B< REKEY_COMMIT\nB< REKEY_COMMIT\nB-\n" SEND("A", "$t")},
	{"B1.1 roomVersion rises with an effective commit", 0, "",
		READY("A", "a") "A> REKEY_COMMIT {'epoch':1}\nA> REKEY_COMMIT {'epoch':1}\nA~\n" IN(
			"B", "b") "B> ROOM_JOIN {'roomId':'room'}\nB< ROOM_JOIN_OK {'epoch':1}\n"
				  "B< E2EE_POLICY {'epoch':1}\nB< ROOM_SNAPSHOT "
				  "{'roomVersion':3,'epoch':1,"
				  "'e2ee':{'epoch':1}}\n"},
	{"A8 C1 relay: own copy first, unknown fields kept, new msgId and ts, no seq", 0, "",
		READY("A", "a") READY("B",
			"b") "A~\n"
			     "A! "
			     "{'v':1,'type':'REKEY_BEGIN','msgId':'m','ts':1,'seq':900,'trace':{'x'"
			     ":[1.50,"
			     "'y/"
			     "z']},'payload':{'epoch':1,'reason':'periodic','big':"
			     "12345678901234567}}\n"
			     "A= {'type':'REKEY_BEGIN','msgId':'$m','ts':1700000001000,'seq':'-',"
			     "'trace':{'x':[1.5,'y/z']},'payload':{'epoch':1,'reason':'periodic',"
			     "'big':12345678901234567}}\n"
			     "A= {'ack':{'ackOfMsgId':'m','ok':true}}\nA-\n"
			     "B= "
			     "{'type':'REKEY_BEGIN','msgId':'$m','seq':'-','trace':{'x':[1.5,'y/"
			     "z']},"
			     "'payload':{'epoch':1}}\nB-\n"},
	{"C1 SFU_RELAY_SEQ=sender", 0, "relay_seq=1",
		READY("A", "a") READY(
			"B", "b") "A~\n"
				  "A! {'v':1,'type':'REKEY_BEGIN','msgId':'m','ts':1,'seq':900}\n"
				  "B= {'type':'REKEY_BEGIN','seq':900}\nA= {'seq':900}\n"},
	{"B5 SFU_RELAY_ECHO=0", 0, "echo=0",
		READY("A", "a")
			READY("B", "b") "A~\nA> REKEY_BEGIN {'epoch':1}\nA< ACK ok\nA-\n"
					"B< REKEY_BEGIN\nA> REKEY_COMMIT {'epoch':1}\nA< ACK "
					"ok\nB< REKEY_COMMIT\n"
					"A> KEY_ACK {'epoch':1}\nA< ACK ok\nB< KEY_ACK\nB-\n"},
	{"A8 REKEY_* and KEY_* need membership, not readiness", 0, "",
		MEMBER("A", "a") "A> REKEY_BEGIN {'epoch':1}\nA< REKEY_BEGIN\nA< ACK ok\n"
				 "A> KEY_ACK {'epoch':1}\nA< KEY_ACK\nA< ACK ok\nA-\n"},
	{"B5 KEY_PACKAGE to its target only", 0, "",
		READY("A", "a") READY("B", "b") READY(
			"C", "c") "A~\nB~\n"
				  "A> KEY_PACKAGE "
				  "{'targetDeviceId':'dev-B','epoch':1,'ciphertext':'abc'}\n"
				  "A< ACK ok\nA-\nB= "
				  "{'type':'KEY_PACKAGE','seq':'-','payload':{'targetDeviceId':"
				  "'dev-B','ciphertext':'abc'}}\nB-\nC-\n"
				  "A> KEY_PACKAGE {'toDeviceId':'dev-C'}\nA< ACK ok\nC< "
				  "KEY_PACKAGE\nB-\nA-\n"},
	{"B5 KEY_PACKAGE without a target to all", 0, "",
		READY("A", "a") READY("B", "b") "A~\nA> KEY_PACKAGE {'ciphertext':'abc'}\n"
						"A< KEY_PACKAGE\nA< ACK ok\nB< KEY_PACKAGE\nB-\n"},
	{"B5 KEY_PACKAGE to nobody", 0, "",
		READY("A", "a") READY("B",
			"b") "A~\nA> KEY_PACKAGE {'targetDeviceId':'dev-X'}\n"
			     "A< ACK KEY_PACKAGE_TARGET_NOT_FOUND {'retryable':false}\nA-\nB-\n"},
	{"B5 KEY_PACKAGE to a socket that is being closed", 0, "",
		READY("A", "a") READY("B",
			"b") "B> AUTH {'accessToken':'hold'}\n" OVERFLOW_B
			     "B closed 1008\nA~\nA> KEY_PACKAGE {'targetDeviceId':'dev-B'}\n"
			     "A< ACK KEY_PACKAGE_TARGET_OFFLINE {'retryable':true}\nA-\nclose B\n"},
	{"C28 KEY_PACKAGE with a bad target", 0, "",
		READY("A",
			"a") "A> KEY_PACKAGE {'targetDeviceId':[]}\n"
			     "A< ACK VALIDATION_FAILED {'message':'Invalid targetDeviceId'}\nA-\n"},
	{"C6 ciphertext up to 64 KiB", 0, "",
		READY("A", "a") READY("B",
			"b") "A~\n"
			     "A> KEY_PACKAGE {'targetDeviceId':'dev-B','ciphertext':'@65537'}\n"
			     "A< ACK KEY_PACKAGE_INVALID {'retryable':false}\nB-\n"
			     "A> KEY_PACKAGE {'targetDeviceId':'dev-B','ciphertext':'@65536'}\nA< "
			     "ACK ok\n"
			     "B< KEY_PACKAGE\n"},
	{"B5 KEY_ACK to all; fromDeviceId must be the sender", 0, "",
		READY("A", "a")
			READY("B", "b") "A~\nA> KEY_ACK {'epoch':1,'fromDeviceId':'dev-A'}\n"
					"A< KEY_ACK\nA< ACK ok\nB< KEY_ACK\nA> KEY_ACK "
					"{'fromDeviceId':'dev-B'}\n"
					"A< ACK KEY_ACK_INVALID {'retryable':false}\nA-\nB-\n"},
	{"B1.9 each relay has its own msgId", 0, "",
		READY("A", "a") "A> KEY_ACK\nA> KEY_ACK\nA= {'msgId':'$one'}\nA< ACK ok\n"
				"A= {'type':'KEY_ACK'}\nA< ACK ok\n"},
	{"E2EE edges: never ready, ready, grace, committer", M, "grace_ms=20000",
		MEMBER("A",
			"a") "m+ room R1 required=1 epoch=0\nm+ peer P1 until=0\nm~\n"
			     "A> E2EE_READY {'epoch':0}\nA~\nm+ peer P1 open\nm~\n" READY(
				     "B", "b") MEMBER("C",
				     "c") "m+ peer P3 until=0\nm~\n"
					  "A> REKEY_COMMIT {'epoch':1}\nA~\nm+ room R1 required=1 "
					  "epoch=1\n"
					  "m+ peer P2 until=21000000\nm- peer P1\nm- peer P3\nm~\n"
					  "B> E2EE_READY {'epoch':1}\nB~\nm+ peer P2 open\n"},
	{"E2EE edges: a chain of commits keeps no laggard open", M, "grace_ms=20000",
		READY("A", "a")
			READY("B", "b") "m~\nA> REKEY_COMMIT {'epoch':1}\n"
					"m+ peer P2 until=21000000\nm~\ntime 5000\nA> REKEY_COMMIT "
					"{'epoch':2}\nm- peer P2\n"
					"m- peer P1\nm+ epoch=2\nm~\nB> E2EE_READY {'epoch':2}\nm+ "
					"peer P2 open\nm~\n"
					"A> REKEY_COMMIT {'epoch':3}\nm+ peer P2 until=26000000\n"},
	{"E2EE edges: the second committer of an epoch is open at once", M, "grace_ms=20000",
		READY("A", "a")
			READY("B", "b") "A> REKEY_COMMIT {'epoch':1}\nm~\n"
					"B> REKEY_COMMIT {'epoch':1}\nm+ peer P2 open\nm- room\n"},
	{"E2EE edges: the largest epoch", M, "",
		READY("A", "a") "A> REKEY_COMMIT {'epoch':9007199254740991}\n"
				"m+ room R1 required=1 epoch=9007199254740991\n"},
	{"E2EE edges: open where it is not required", M, "required=0",
		MEMBER("A", "a") "m+ room R1 required=0 epoch=0\nm+ peer P1 open\nm~\n"
				 "A> REKEY_COMMIT {'epoch':1}\nm- peer P1\n"},
	{"E2EE edges: a re-join shuts", M, "",
		READY("A", "a") "m~\nA> ROOM_JOIN {'roomId':'room'}\nm+ peer P1 until=0\n"},
};

static const struct script fallback_rows[] = {
	{"A6 fallback: TRANSPORT_CREATED is empty", 0, "",
		READY("A", "a") "A> TRANSPORT_CREATE {'direction':'send'}\n"
				"A= "
				"{'type':'TRANSPORT_CREATED','seq':6,'payload':{'roomId':'room','"
				"transportId':'$t',"
				"'direction':'send','iceParameters':{'password':'-'},'"
				"iceCandidates':[],"
				"'dtlsParameters':{'role':'-'}}}\nA< ACK ok\nA-\n"},
	{"A6 direction is recv if exactly that, else send", 0, "",
		READY("A", "a") "A> TRANSPORT_CREATE {'direction':'RECV'}\n"
				"A< TRANSPORT_CREATED {'direction':'send'}\nA< ACK ok\nA> "
				"TRANSPORT_CREATE\n"
				"A< TRANSPORT_CREATED {'direction':'send'}\nA< ACK ok\n"
				"A> TRANSPORT_CREATE {'direction':'recv'}\nA< TRANSPORT_CREATED "
				"{'direction':'recv'}\n"
				"A< ACK ok\nA-\n"},
	{"A6 fallback: TRANSPORT_CONNECT, repeatable, nothing checked", 0, "",
		READY("A", "a")
			SEND("A", "$t") "A> TRANSPORT_CONNECT {'transportId':'$t'}\nA< ACK ok\n"
					"A> TRANSPORT_CONNECT "
					"{'transportId':'$t','dtlsParameters':5}\nA< ACK ok\nA-\n"},
	{"A5 TRANSPORT_CONNECT: not one of this device's", 0, "",
		READY("A", "a") READY("B", "b") SEND("B",
			"$t") "A~\nA> TRANSPORT_CONNECT {'transportId':'$t'}\nA< ACK "
			      "TRANSPORT_NOT_FOUND {'message':"
			      "'Unknown transport','retryable':false}\nA> TRANSPORT_CONNECT\n"
			      "A< ACK TRANSPORT_NOT_FOUND\nA> TRANSPORT_CONNECT {'transportId':3}\n"
			      "A< ACK VALIDATION_FAILED {'message':'Invalid transportId'}\nA-\n"},
	{"A3 PRODUCE: PRODUCED, ACK; PRODUCER_ADDED to the others", 0, "",
		READY("A", "a") READY("B", "b") "A~\n" SEND(
			"A", "$t") "A> PRODUCE "
				   "{'transportId':'$t','kind':'audio','rtpParameters':{},'appData'"
				   ":{'x':1}}\n"
				   "A= "
				   "{'type':'PRODUCED','seq':7,'payload':{'roomId':'room','"
				   "producerId':'$p',"
				   "'kind':'audio'}}\nA< ACK ok\nA-\n"
				   "B= "
				   "{'type':'PRODUCER_ADDED','seq':'-','payload':{'roomId':'room','"
				   "producerId':'$p',"
				   "'peerDeviceId':'dev-A','kind':'audio'}}\nB-\n"
				   "A> PRODUCE {'transportId':'$t','kind':'AUDIO'}\nA< PRODUCED "
				   "{'kind':'video'}\nA~\n" IN("C",
					   "c") "C> ROOM_JOIN {'roomId':'room'}\nC< "
						"ROOM_JOIN_OK\nC< E2EE_POLICY\n"
						"C< ROOM_SNAPSHOT "
						"{'roomVersion':5,'producers':[{'producerId':'$p',"
						"'peerDeviceId':'dev-A','userId':'a','kind':'audio'"
						",'paused':false},"
						"{'kind':'video'}]}\n"},
	{"A5 fallback: PRODUCE on what is not in the room", 0, "",
		READY("A", "a") "A> PRODUCE {'transportId':'tr_00000000'}\n"
				"A< ACK INTERNAL_ERROR "
				"{'message':'TRANSPORT_NOT_FOUND','retryable':true}\n"
				"A> PRODUCE\nA< ACK INTERNAL_ERROR\nA-\n"},
	{"C14 fallback: owner and direction are not checked", 0, "",
		READY("A", "a") READY("B", "b") RECV("B",
			"$t") "A~\n"
			      "A> PRODUCE {'transportId':'$t'}\nA< PRODUCED\nA< ACK ok\nclose "
			      "B\nA~\n"
			      "figures {'producers':1}\nA> TRANSPORT_CLOSE {'transportId':'$t'}\n"
			      "A< ACK TRANSPORT_NOT_FOUND\n"},
	{"A3 CONSUME: CONSUMER_ADDED, ACK; own producers, without transport", 0, "",
		READY("A", "a") SEND("A", "$t") PRODUCE("A", "$t", "$p", "video",
			"{}") "A> CONSUME {'producerId':'$p'}\nA= "
			      "{'type':'CONSUMER_ADDED','seq':8,'payload':"
			      "{'roomId':'room','consumerId':'$c','producerId':'$p','kind':'video',"
			      "'rtpParameters':{'codecs':'-'}}}\nA< ACK ok\nA-\nfigures "
			      "{'consumers':1}\n"},
	{"A5 CONSUME of an unknown producer", 0, "",
		READY("A",
			"a") "A> CONSUME {'producerId':'pr_00000000'}\n"
			     "A< ACK PRODUCER_NOT_FOUND {'message':'Unknown "
			     "producer','retryable':false}\n"
			     "A> CONSUME\nA< ACK PRODUCER_NOT_FOUND\nA> CONSUME {'producerId':{}}\n"
			     "A< ACK VALIDATION_FAILED {'message':'Invalid producerId'}\nA-\n"},
	{"A5 CONSUME of a producer in another room", 0, "",
		READY("A", "a") SEND("A", "$t") PRODUCE("A", "$t", "$p", "video", "{}") IN(
			"B", "b") "B> ROOM_JOIN {'roomId':'other'}\nB> E2EE_READY {'epoch':0}\nB~\n"
				  "B> CONSUME {'producerId':'$p'}\nB< ACK PRODUCER_NOT_FOUND\n"
				  "B> PRODUCE {'transportId':'$t'}\nB< ACK INTERNAL_ERROR\n"},
	{"A6 ICE_RESTART: needs AUTH only", 0, "",
		IN("A", "a") "A> ICE_RESTART {'roomId':'x','transportId':'any'}\n"
			     "A= "
			     "{'type':'ICE_RESTART_OK','seq':3,'payload':{'roomId':'x','policy':'"
			     "relay'}}\n"
			     "A< ACK ok\nA> ICE_RESTART {'policy':'all'}\nA< ICE_RESTART_OK "
			     "{'policy':'all'}\n"
			     "A< ACK ok\nA-\n"},
	{"C18 ICE_RESTART with SFU_STRICT", 0, "strict=1",
		MEMBER("A",
			"a") "A> ICE_RESTART {'roomId':'x'}\nA< ACK UNAUTHORIZED\n"
			     "A> ICE_RESTART {'roomId':'room'}\nA< ICE_RESTART_OK\nA< ACK ok\n"},
	{"B2 CONSUMER_RESUME: not gated, unknown is fine", 0, "",
		MEMBER("A",
			"a") "A> CONSUMER_RESUME {'consumerId':'x'}\nA< ACK ok\n"
			     "A> CONSUMER_RESUME\nA< ACK ok\nA> CONSUMER_RESUME {'consumerId':7}\n"
			     "A< ACK VALIDATION_FAILED {'message':'Invalid consumerId'}\nA-\n"},
	{"B6 PRODUCER_PAUSE and RESUME to the others, once", 0, "",
		CALL
		"A> PRODUCER_PAUSE {'producerId':'$pa'}\nA< ACK ok\nA-\n"
		"B= {'type':'PRODUCER_PAUSED','seq':'-','payload':{'roomId':'room',"
		"'producerId':'$pa','peerDeviceId':'dev-A'}}\n"
		"A> PRODUCER_PAUSE {'producerId':'$pa'}\nA< ACK ok\nB-\n" IN("C",
			"c") "C> ROOM_JOIN {'roomId':'room'}\nC< ROOM_JOIN_OK\nC< E2EE_POLICY\n"
			     "C< ROOM_SNAPSHOT {'producers':[{'paused':true}]}\nB~\nA~\n"
			     "A> PRODUCER_RESUME {'producerId':'$pa'}\nA< ACK ok\nB< "
			     "PRODUCER_RESUMED\nB-\n"},
	{"B6 PRODUCER_CLOSE", 0, "",
		CALL CONSUME("B", "$pa",
			"$cb") "A> PRODUCER_CLOSE {'producerId':'$pa'}\nA< ACK ok\nA-\n"
			       "B< PRODUCER_REMOVED "
			       "{'roomId':'room','producerId':'$pa','peerDeviceId':'dev-A',"
			       "'kind':'audio','reason':'closed'}\nB< CONSUMER_CLOSED "
			       "{'consumerId':'$cb',"
			       "'producerId':'$pa','reason':'closed'}\nB-\n"
			       "A> PRODUCER_CLOSE {'producerId':'$pa'}\nA< ACK PRODUCER_NOT_FOUND\n"
			       "figures {'producers':0,'consumers':0}\n"},
	{"B6 PRODUCER_*: owner only", 0, "",
		CALL "B> PRODUCER_CLOSE {'producerId':'$pa'}\nB< ACK PRODUCER_NOT_FOUND\n"
		     "B> PRODUCER_PAUSE {'producerId':'$pa'}\nB< ACK PRODUCER_NOT_FOUND\n"
		     "B> PRODUCER_RESUME\nB< ACK PRODUCER_NOT_FOUND\nA-\nB-\n"},
	{"B6 CONSUMER_*: owner only", 0, "",
		CALL CONSUME("B", "$pa",
			"$cb") "A> CONSUMER_CLOSE {'consumerId':'$cb'}\n"
			       "A< ACK CONSUMER_NOT_FOUND {'retryable':false}\nA> CONSUMER_PAUSE "
			       "{'consumerId':'$cb'}\n"
			       "A< ACK CONSUMER_NOT_FOUND\nA> CONSUMER_SET_LAYERS "
			       "{'consumerId':'$cb',"
			       "'spatialLayer':1}\nA< ACK CONSUMER_NOT_FOUND\n"
			       "A> CONSUMER_REQUEST_KEY_FRAME {'consumerId':'$cb'}\nA< ACK "
			       "CONSUMER_NOT_FOUND\n"
			       "A> CONSUMER_CLOSE {'consumerId':[]}\nA< ACK VALIDATION_FAILED\n"
			       "figures {'consumers':1}\nB> CONSUMER_CLOSE "
			       "{'consumerId':'$cb'}\nB< ACK ok\nB-\nA-\n"
			       "figures {'consumers':0,'producers':1}\n"},
	{"B6 CONSUMER_SET_LAYERS is checked", 0, "",
		CALL CONSUME("B", "$pa",
			"$cb") "B> CONSUMER_SET_LAYERS "
			       "{'consumerId':'$cb','spatialLayer':1,'temporalLayer':2}\n"
			       "B< ACK ok\nB> CONSUMER_SET_LAYERS {'consumerId':'$cb'}\n"
			       "B< ACK VALIDATION_FAILED {'message':'Invalid spatialLayer'}\n"
			       "B> CONSUMER_SET_LAYERS {'consumerId':'$cb','spatialLayer':-1}\n"
			       "B< ACK VALIDATION_FAILED\n"
			       "B> CONSUMER_SET_LAYERS {'consumerId':'$cb','spatialLayer':1.5}\n"
			       "B< ACK VALIDATION_FAILED\n"
			       "B> CONSUMER_SET_LAYERS "
			       "{'consumerId':'$cb','spatialLayer':0,'temporalLayer':'x'}\n"
			       "B< ACK VALIDATION_FAILED {'message':'Invalid "
			       "temporalLayer'}\nB-\n"},
	{"B6 CONSUMER_REQUEST_KEY_FRAME is rate limited", 0, "",
		CALL CONSUME("B", "$pa",
			"$cb") "B> CONSUMER_REQUEST_KEY_FRAME {'consumerId':'$cb'}\nB< ACK ok\n"
			       "B> CONSUMER_REQUEST_KEY_FRAME {'consumerId':'$cb'}\n"
			       "B< ACK RATE_LIMITED {'retryable':true}\ntime 500\n"
			       "B> CONSUMER_REQUEST_KEY_FRAME {'consumerId':'$cb'}\nB< ACK ok\n"},
	{"B6 TRANSPORT_CLOSE", 0, "",
		CALL CONSUME("B", "$pa",
			"$cb") "A> TRANSPORT_CLOSE {'transportId':'$sa'}\nA< ACK ok\n"
			       "A-\nB< PRODUCER_REMOVED "
			       "{'producerId':'$pa','reason':'transport_closed'}\n"
			       "B< CONSUMER_CLOSED {'reason':'transport_closed'}\nB-\n"
			       "B> TRANSPORT_CLOSE {'transportId':'$sa'}\nB< ACK "
			       "TRANSPORT_NOT_FOUND\n"
			       "B> TRANSPORT_CLOSE {'transportId':'$rb'}\nB< ACK ok\n"
			       "figures {'producers':0,'consumers':0,'transports':0}\n"},
	{"B6 C16 replay after the ACK of the first recv transport only", 0, "",
		READY("A", "a") SEND("A", "$t") PRODUCE("A", "$t", "$p", "audio", "{}")
			READY("B", "b") SEND("B", "$s") "B-\n" RECV(
				"B", "$r") "B= "
					   "{'type':'PRODUCER_ADDED','seq':'-','payload':{'roomId':"
					   "'room','producerId':'$p',"
					   "'peerDeviceId':'dev-A','kind':'audio'}}\nB-\n" RECV(
						   "B", "$r2") "B-\n"
							       "A~\n" RECV("A", "$ra") "A-\n"},
	{"B6 C16 replay leaves out own producers and those consumed", 0, "",
		READY("A", "a") SEND("A", "$t") PRODUCE("A", "$t", "$p", "audio", "{}")
			PRODUCE("A", "$t", "$q", "video", "{}") READY("B", "b") SEND("B", "$s")
				PRODUCE("B", "$s", "$own", "audio",
					"{}") "B> CONSUME {'producerId':'$p'}\nB~\n" RECV("B",
					"$r") "B< PRODUCER_ADDED {'producerId':'$q'}\nB-\n"},
	{"B6 SFU_REPLAY_PRODUCERS=0", 0, "replay=0",
		READY("A", "a") SEND("A", "$t") PRODUCE("A", "$t", "$p", "audio", "{}")
			READY("B", "b") RECV("B", "$r") "B-\n"},
	{"B6 replay after the E2EE_READY that ends refused CONSUMEs", 0, "",
		CALL
		"A> REKEY_COMMIT {'epoch':1}\nA~\nB~\nB> E2EE_READY {'epoch':1}\nB< ACK ok\nB-\n"
		"A> REKEY_COMMIT {'epoch':2}\nA~\nB~\nB> CONSUME {'producerId':'$pa'}\n"
		"B< ACK E2EE_NOT_READY\nB> E2EE_READY {'epoch':1}\nB< ACK E2EE_EPOCH_MISMATCH\nB-\n"
		"B> E2EE_READY {'epoch':2}\nB< ACK ok\nB< PRODUCER_ADDED {'producerId':'$pa'}\nB-\n"
		"B> E2EE_READY {'epoch':2}\nB< ACK ok\nB-\n"},
	{"C23 number of transports of a member", 0, "",
		READY("A", "a")
#define FOUR_TRANSPORTS                                                                            \
	"A> TRANSPORT_CREATE\nA> TRANSPORT_CREATE\nA> TRANSPORT_CREATE\nA> TRANSPORT_CREATE\n"
			FOUR_TRANSPORTS FOUR_TRANSPORTS FOUR_TRANSPORTS FOUR_TRANSPORTS
		"A~\n"
		"figures {'transports':16}\nA> TRANSPORT_CREATE\n"
		"A< ACK RATE_LIMITED {'retryable':true}\n"},
};

static const struct script media_rows[] = {
	{"A6 media mode: TRANSPORT_CREATED", M, "",
		READY("A",
			"a") "A> TRANSPORT_CREATE {'direction':'recv'}\n"
			     "A< TRANSPORT_CREATED "
			     "{'roomId':'room','transportId':'*','direction':'recv',"
			     "'iceParameters':{'usernameFragment':'ufrag1','password':'password1','"
			     "iceLite':true},"
			     "'iceCandidates':[{'foundation':'udpcandidate','priority':2130706431,"
			     "'ip':'192.0.2.10','address':'192.0.2.10','protocol':'udp','port':"
			     "40000,"
			     "'type':'host','tcpType':'-'}],'dtlsParameters':{'role':'auto','"
			     "fingerprints':["
			     "{'algorithm':'sha-256','value':'AA:BB:CC'}]}}\nA< ACK ok\nA-\nm+ "
			     "transport T1 recv\n"},
	{"A6 media mode: TRANSPORT_CONNECT", M, "",
		READY("A", "a") SEND(
			"A", "$t") "A> TRANSPORT_CONNECT {'transportId':'$t','dtlsParameters':" DTLS
				   "}\nA< ACK ok\n"
				   "m+ connect T1 client 1 sha-256 AA:BB\nA> TRANSPORT_CONNECT "
				   "{'transportId':'$t',"
				   "'dtlsParameters':{'fingerprints':[{'algorithm':'sha-256','"
				   "value':'AA:BB'},"
				   "{'algorithm':'sha-1','value':'CC'}]}}\nA< ACK ok\nm+ connect "
				   "T1 auto 2\n"},
#define BAD_DTLS(parameters)                                                                       \
	"A> TRANSPORT_CONNECT {'transportId':'$t','dtlsParameters':" parameters "}\n"              \
	"A< ACK VALIDATION_FAILED {'message':"                                                     \
	"'dtlsParameters must be non-empty with fingerprints','retryable':false}\n"
	{"A5 media mode: dtlsParameters", M, "",
		READY("A", "a") SEND(
			"A", "$t") "A> TRANSPORT_CONNECT {'transportId':'$t'}\n"
				   "A< ACK VALIDATION_FAILED\n" BAD_DTLS("{}") BAD_DTLS(
					   "[]") BAD_DTLS("5") BAD_DTLS("{'role':'auto','"
									"fingerprints':[]}")
					   BAD_DTLS("{'role':'auto','fingerprints':[{}]}") BAD_DTLS(
						   "{'role':'auto','fingerprints':[{'algorithm':'"
						   "sha-256','value':5}]}")
						   BAD_DTLS("{'role':'auto','fingerprints':[{'"
							    "algorithm':'sha-256','value':'@500'}]"
							    "}") "A> TRANSPORT_CONNECT "
								 "{'transportId':'$t','"
								 "dtlsParameters':{'role':'server',"
								 "'fingerprints':[{'algorithm':'"
								 "sha-256','value':'AA'}]}}\n"
								 "A< ACK VALIDATION_FAILED "
								 "{'message':'Invalid "
								 "dtlsParameters'}\nA-\nm- "
								 "connect\n"},
	{"A5 order: gate, then lookup, then validation", M, "",
		READY("A", "a") "A> TRANSPORT_CONNECT {'transportId':'x','dtlsParameters':{}}\n"
				"A< ACK TRANSPORT_NOT_FOUND\nA> CONSUME "
				"{'producerId':'x','rtpCapabilities':{}}\n"
				"A< ACK PRODUCER_NOT_FOUND\nA> PRODUCE "
				"{'transportId':'x','rtpParameters':{}}\n"
				"A< ACK TRANSPORT_NOT_FOUND\nA> REKEY_COMMIT {'epoch':1}\nA~\n"
				"A> PRODUCE {'transportId':'x'}\nA< ACK E2EE_NOT_READY\n"},
	{"A3 media mode: a whole call", M, "",
		CALL
		"m+ producer D1 kind=1 flags=2 pt=111->100 encodings=1 ssrc=1111 cname=me\n"
		"B> CONSUME {'producerId':'$pa','rtpCapabilities':" CAPS "}\n"
		"B< CONSUMER_ADDED {'roomId':'room','consumerId':'$c','producerId':'$pa',"
		"'kind':'audio','rtpParameters':{'mid':'0','codecs':[{'mimeType':'audio/opus',"
		"'payloadType':100,'clockRate':48000,'channels':2}],'encodings':[{'ssrc':1002}],"
		"'rtcp':{'cname':'me'}}}\nB< ACK ok\nB-\nA-\n"
		"m+ consumer C1 pt=100 mid=0 encoding=255\n"
		"B> CONSUMER_RESUME {'consumerId':'$c'}\nB< ACK ok\nm- key frame\n"},
	{"E2EE flag of producers follows the room", M, "required=0",
		READY("A", "a") SEND("A", "$t")
			PRODUCE("A", "$t", "$p", "audio", OPUS) "m+ producer D1 kind=1 flags=0\n"},
	{"A5 media mode: rtpParameters must be non-empty", M, "",
		READY("A", "a") SEND("A", "$t")
#define BAD_RTP(parameters)                                                                        \
	"A> PRODUCE {'transportId':'$t','kind':'audio','rtpParameters':" parameters "}\n"          \
	"A< ACK VALIDATION_FAILED {'message':'rtpParameters must be non-empty'}\n"
			BAD_RTP("{}") BAD_RTP("null") BAD_RTP("[]") BAD_RTP("'x'") BAD_RTP(
				"{'codecs':[]}") BAD_RTP("{'codecs':[],'encodings':{}}")
				BAD_RTP("{'mid':'0'}") "A> PRODUCE {'transportId':'$t'}\nA< ACK "
						       "VALIDATION_FAILED\nm- producer\n"},
	{"A5 media mode: malformed or unsupported rtpParameters", M, "",
		READY("A", "a") SEND("A",
			"$t") "A> PRODUCE {'transportId':'$t','kind':'audio',"
			      "'rtpParameters':{'codecs':[{'mimeType':5}]}}\n"
			      "A< ACK VALIDATION_FAILED {'retryable':false}\nA> PRODUCE "
			      "{'transportId':'$t',"
			      "'kind':'video','rtpParameters':{'codecs':[{'mimeType':'video/H265',"
			      "'payloadType':96,'clockRate':90000}],'encodings':[{'ssrc':5}]}}\n"
			      "A< ACK VALIDATION_FAILED\nm- producer\nfigures {'producers':0}\n"},
	{"C14 media mode: owner and direction of the transport", M, "",
		READY("A", "a") READY("B", "b") SEND("B", "$tb") "A~\n" RECV("A",
			"$ra") "A> PRODUCE "
			       "{'transportId':'$tb','kind':'audio','rtpParameters':" OPUS "}\n"
			       "A< ACK TRANSPORT_NOT_FOUND {'message':'Unknown "
			       "transport','retryable':false}\n"
			       "A> PRODUCE "
			       "{'transportId':'$ra','kind':'audio','rtpParameters':" OPUS "}\n"
			       "A< ACK TRANSPORT_NOT_FOUND\nA> PRODUCE\nA< ACK "
			       "TRANSPORT_NOT_FOUND\nm- producer\n"},
	{"A5 media mode: rtpCapabilities must be non-empty", M, "",
		CALL
#define BAD_CAPS(caps)                                                                             \
	"B> CONSUME {'producerId':'$pa','rtpCapabilities':" caps "}\n"                             \
	"B< ACK VALIDATION_FAILED {'message':'rtpCapabilities must be non-empty'}\n"
			BAD_CAPS("{}") BAD_CAPS("null") BAD_CAPS("{'codecs':[]}")
				BAD_CAPS("{'codecs':{}}") "B> CONSUME {'producerId':'$pa'}\nB< ACK "
							  "VALIDATION_FAILED\n"
							  "B> CONSUME "
							  "{'producerId':'$pa','rtpCapabilities':{'"
							  "codecs':[5]}}\n"
							  "B< ACK VALIDATION_FAILED "
							  "{'retryable':false}\nm- consumer\n"},
	{"C13 CONSUME_NOT_ALLOWED", M, "",
		CALL "B> CONSUME {'producerId':'$pa','rtpCapabilities':" CAPS_NONE "}\n"
		     "B< ACK CONSUME_NOT_ALLOWED {'message':'Unsupported RTP capabilities',"
		     "'retryable':false}\nB-\nm- consumer\nfigures {'consumers':0}\n"},
	{"A5 media mode: CONSUME without a recv transport", M, "",
		READY("A", "a") SEND("A", "$t") PRODUCE("A", "$t", "$p", "audio",
			OPUS) "A> CONSUME {'producerId':'$p','rtpCapabilities':" CAPS "}\n"
			      "A< ACK INTERNAL_ERROR "
			      "{'message':'RECV_TRANSPORT_NOT_FOUND','retryable':true}\n"},
	{"A6 media mode: own producers may be consumed", M, "",
		READY("A", "a") SEND("A", "$t") PRODUCE("A", "$t", "$p", "audio", OPUS) RECV(
			"A", "$r") CONSUME("A", "$p", "$c") "close A\nm+ delete consumer C1\n"},
	{"A6 CONSUME on the named recv transport, else the first; mids are per transport", M, "",
		CALL RECV("B", "$r2") CONSUME(
			"B", "$pa", "$c1") "m+ consumer C1 pt=100 mid=0\n" CONSUME("B", "$pa",
			"$c2") "m+ consumer C2 pt=100 mid=1\n"
			       "B> CONSUME "
			       "{'producerId':'$pa','transportId':'$r2','rtpCapabilities':" CAPS
			       "}\n"
			       "B< CONSUMER_ADDED {'rtpParameters':{'mid':'0'}}\nB< ACK ok\n"
			       "B> CONSUME "
			       "{'producerId':'$pa','transportId':'$sa','rtpCapabilities':" CAPS
			       "}\n"
			       "B< CONSUMER_ADDED {'rtpParameters':{'mid':'2'}}\nB< ACK ok\n"},
	{"B6 pause, resume and key frames reach the data plane", M, "",
		READY("A", "a") READY("B", "b") "A~\n" SEND("A", "$t") PRODUCE("A", "$t", "$p",
			"video", VP8) "A~\nB~\n" RECV("B", "$r") "B~\n" CONSUME("B", "$p",
			"$c") "m~\n"
			      "B> CONSUMER_PAUSE {'consumerId':'$c'}\nB< ACK ok\nm+ consumer C1 "
			      "flags=1\nm~\n"
			      "B> CONSUMER_RESUME {'consumerId':'$c'}\nB< ACK ok\nm+ consumer C1 "
			      "flags=0\n"
			      "m+ key frame C1\nm~\nB> CONSUMER_REQUEST_KEY_FRAME "
			      "{'consumerId':'$c'}\n"
			      "B< ACK RATE_LIMITED\nm- key frame\ntime 600\n"
			      "B> CONSUMER_REQUEST_KEY_FRAME {'consumerId':'$c'}\nB< ACK ok\nm+ "
			      "key frame C1\nm~\n"
			      "A> PRODUCER_PAUSE {'producerId':'$p'}\nm+ producer D1 flags=3\nm~\n"
			      "A> PRODUCER_RESUME {'producerId':'$p'}\nm+ producer D1 flags=2\n"},
	{"B6 CONSUMER_SET_LAYERS reaches the data plane", M, "",
		READY("A", "a") READY("B", "b") "A~\n" SEND("A", "$t") PRODUCE("A", "$t", "$p",
			"video",
			SIMULCAST) "m+ encodings=3\nA~\nB~\n" RECV("B", "$r") "B~\n" CONSUME("B",
			"$p", "$c") "m~\nB> CONSUMER_SET_LAYERS {'consumerId':'$c',"
				    "'spatialLayer':0}\nB< ACK ok\nm+ consumer C1 flags=0 "
				    "encoding=0\nm~\n"
				    "B> CONSUMER_SET_LAYERS "
				    "{'consumerId':'$c','spatialLayer':9}\nB< ACK ok\n"
				    "m+ encoding=2\n"},
	{"B7 ICE_RESTART in media mode", M, "",
		READY("A", "a") READY("B", "b") "A~\n" SEND("A",
			"$t") "m~\nA> ICE_RESTART {'transportId':'$t'}\nA< ICE_RESTART_OK "
			      "{'roomId':'room','transportId':'$t','iceParameters':"
			      "{'usernameFragment':'ufrag1.1','password':'password1.1',"
			      "'iceLite':true},'iceCandidates':[{'ip':'192.0.2.10'}],"
			      "'policy':'relay'}\nA< ACK ok\nm+ restart T1\nm~\n"
			      "A> ICE_RESTART {'transportId':'$t'}\nA< ICE_RESTART_OK "
			      "{'iceParameters':{'usernameFragment':'ufrag1.2'}}\nA< ACK ok\n"
			      "B> ICE_RESTART {'transportId':'$t'}\n"
			      "B< ACK TRANSPORT_NOT_FOUND\nB> ICE_RESTART\nB< ICE_RESTART_OK\nB< "
			      "ACK ok\n"},
	{"A12 C12 media mode: a closed socket takes its objects along", M, "",
		CALL CONSUME("B", "$pa",
			"$c") "m~\nclose B\nm+ delete consumer C1\n"
			      "m+ delete transport T2\nm+ delete peer P2\nm~\nclose A\nm+ delete "
			      "producer D1\n"
			      "m+ delete transport T1\nm+ delete peer P1\nm+ delete room R1\n"},
	{"media: errors on the spot", M, "",
		READY("A", "a") "media errno 11\nA> TRANSPORT_CREATE\n"
				"A< ACK SFU_NODE_UNAVAILABLE {'retryable':true}\nmedia errno "
				"28\nA> TRANSPORT_CREATE\n"
				"A< ACK SFU_NODE_UNAVAILABLE {'message':'Media plane is full'}\n"
				"figures {'transports':0}\n" SEND("A",
					"$t") "media errno 28\n"
					      "A> PRODUCE "
					      "{'transportId':'$t','kind':'audio','rtpParameters'"
					      ":" OPUS "}\n"
					      "A< ACK SFU_NODE_UNAVAILABLE\nfigures "
					      "{'producers':0}\n" PRODUCE(
						      "A", "$t", "$p", "audio", OPUS) RECV("A",
						      "$r") "media errno 22\n"
							    "A> CONSUME "
							    "{'producerId':'$p','rtpCapabilities'"
							    ":" CAPS "}\nA< ACK INTERNAL_ERROR\n"
							    "figures {'consumers':0}\n" CONSUME(
								    "A", "$p", "$c")},
	{"media: refused after a while", M, "",
		READY("A",
			"a") "media full\nA> TRANSPORT_CREATE\n"
			     "A< ACK SFU_NODE_UNAVAILABLE {'message':'Media plane is "
			     "full','retryable':true}\n"
			     "media refused\nA> TRANSPORT_CREATE\nA< ACK INTERNAL_ERROR "
			     "{'retryable':true}\n"
			     "media unavailable\nA> TRANSPORT_CREATE\nA< ACK SFU_NODE_UNAVAILABLE\n"
			     "figures {'transports':0}\nmedia ok\n" SEND("A",
				     "$t") "media full\n"
					   "A> PRODUCE "
					   "{'transportId':'$t','kind':'audio','rtpParameters'"
					   ":" OPUS "}\n"
					   "A< ACK SFU_NODE_UNAVAILABLE\nA-\nfigures "
					   "{'producers':0}\nmedia ok\n" PRODUCE(
						   "A", "$t", "$p", "audio", OPUS) RECV("A",
						   "$r") "media refused\n"
							 "A> CONSUME "
							 "{'producerId':'$p','rtpCapabilities'"
							 ":" CAPS "}\nA< ACK INTERNAL_ERROR\n"
							 "A-\nfigures {'consumers':0}\nmedia ok\n"},
	{"A11 media: not there yet: fallback mode until it comes", SCRIPT_DETACHED, "",
		READY("A", "a") READY("B",
			"b") "A~\nA> GET_ROUTER_RTP_CAPABILITIES\n"
			     "A< ROUTER_RTP_CAPABILITIES "
			     "{'routerRtpCapabilities':{'codecs':[]}}\nA< ACK ok\n"
			     "A> TRANSPORT_CREATE\nA< TRANSPORT_CREATED "
			     "{'transportId':'$t','iceParameters':{},"
			     "'iceCandidates':[],'dtlsParameters':{}}\nA< ACK ok\n"
			     "A> TRANSPORT_CONNECT {'transportId':'$t'}\nA< ACK ok\n" PRODUCE("A",
				     "$t", "$p", "audio",
				     "{}") "B~\nB> CONSUME {'producerId':'$p'}\n"
					   "B< CONSUMER_ADDED "
					   "{'consumerId':'$c','rtpParameters':{}}\nB< ACK ok\nm- "
					   "room\n"
					   "media attach\nm+ room R1 required=1 epoch=0\nm+ peer "
					   "P1 open\n"
					   "B< PRODUCER_REMOVED "
					   "{'producerId':'$p','reason':'transport_closed'}\n"
					   "B< CONSUMER_CLOSED "
					   "{'consumerId':'$c','reason':'transport_closed'}\nA-\nB-"
					   "\n"
					   "figures "
					   "{'peers':2,'transports':0,'producers':0,'consumers':0}"
					   "\n"
					   "A> TRANSPORT_CONNECT {'transportId':'$t'}\nA< ACK "
					   "TRANSPORT_NOT_FOUND\n" SEND("A", "$u") PRODUCE("A",
						   "$u", "$q", "audio",
						   OPUS) "A> GET_ROUTER_RTP_CAPABILITIES\n"
							 "A< ROUTER_RTP_CAPABILITIES "
							 "{'routerRtpCapabilities':{'codecs':["
							 "{'mimeType':'audio/"
							 "opus'},{'mimeType':'video/"
							 "VP9'},{'mimeType':'video/"
							 "rtx'},{'mimeType':'video/"
							 "VP8'},{'mimeType':'video/rtx'}]}}\nA< "
							 "ACK ok\nmedia detach\nA~\n"
							 "A> TRANSPORT_CREATE\nA< ACK "
							 "SFU_NODE_UNAVAILABLE\n"},
	{"media: away", M, "",
		READY("A",
			"a") "media detach\n"
			     "A> TRANSPORT_CREATE\nA< ACK SFU_NODE_UNAVAILABLE {'retryable':true}\n"
			     "A> PRODUCE {'transportId':'x'}\nA< ACK SFU_NODE_UNAVAILABLE\n"
			     "A> CONSUME {'producerId':'x'}\nA< ACK SFU_NODE_UNAVAILABLE\n"
			     "A> TRANSPORT_CONNECT {'transportId':'x'}\nA< ACK "
			     "SFU_NODE_UNAVAILABLE\nm~\n"
			     "media attach\nm- room\n" SEND("A", "$t")},
	{"media: SFU_ANNOUNCED_IP that is announced", M, "announced_ip=192.0.2.10",
		READY("A", "a") SEND("A", "$t")},
	{"media: SFU_ANNOUNCED_IP that is not", M, "announced_ip=192.0.2.11",
		READY("A", "a") "A> TRANSPORT_CREATE\nA< ACK SFU_NODE_UNAVAILABLE\nm- room\n"},
	{"media: port outside SFU_RTC_MIN_PORT", M, "min_port=50000",
		READY("A", "a") "A> TRANSPORT_CREATE\nA< ACK SFU_NODE_UNAVAILABLE\nm- room\n"},
	{"media: the data plane goes: calls wait for it, new media is refused", M, "plane_sec=5",
		CALL CONSUME("B", "$pa",
			"$c") "media detach\nA-\nB-\n"
			      "A> TRANSPORT_CREATE\nA< ACK SFU_NODE_UNAVAILABLE\n"
			      "time 4999\nA-\nB-\ntime 1\n"
			      "B< PRODUCER_REMOVED "
			      "{'producerId':'$pa','reason':'transport_closed'}\n"
			      "B< CONSUMER_CLOSED "
			      "{'consumerId':'$c','reason':'transport_closed'}\nB-\nA-\n"
			      "figures "
			      "{'rooms':1,'peers':2,'transports':0,'producers':0,'consumers':0}\n"
			      "A> TRANSPORT_CREATE\nA< ACK SFU_NODE_UNAVAILABLE\n"
			      "A> REKEY_BEGIN {'epoch':1}\nA< REKEY_BEGIN\nA< ACK ok\n"},
	{"media: … and comes back with everything: nobody notices", M, "plane_sec=5",
		CALL CONSUME("B", "$pa",
			"$c") "media detach\ntime 4999\nmedia attach\ntime 60000\nA-\nB-\nm-\n"
			      "figures "
			      "{'rooms':1,'peers':2,'transports':2,'producers':1,'consumers':1}\n"},
	{"media: … and comes back without the transports: they are closed, and made anew", M, "",
		CALL CONSUME("B", "$pa",
			"$c") "media detach\nmedia lose\nmedia attach\n"
			      "B< PRODUCER_REMOVED "
			      "{'producerId':'$pa','reason':'transport_closed'}\n"
			      "B< CONSUMER_CLOSED "
			      "{'consumerId':'$c','reason':'transport_closed'}\nB-\nA-\n"
			      "figures "
			      "{'rooms':1,'peers':2,'transports':0,'producers':0,'consumers':0}"
			      "\n" SEND("A", "$n") PRODUCE("A", "$n", "$m", "audio",
				      OPUS) "B< PRODUCER_ADDED {'producerId':'$m'}\nB-\n"},
	{"media: gates that change while it is away", M, "grace_ms=20000",
		CALL "media detach\nm~\nA> REKEY_COMMIT {'epoch':1}\nA~\nB~\n"
		     "m+ room R1 required=1 epoch=1\nm+ peer P2 until=21000000\nmedia attach\n"
		     "A> E2EE_READY {'epoch':1}\nA< ACK ok\n"},
	{"media: who joins while it is away is told of when it comes", M, "",
		"media detach\n" READY("A", "a") "m-\nmedia attach\n"
						 "m+ room R1 required=1 epoch=0\nm+ peer P1 "
						 "open\n" SEND("A", "$t")},
	{"media: who leaves while it is away is deleted", M, "",
		CALL CONSUME("B", "$pa", "$c") "media detach\nm~\nclose A\nclose B\n"
					       "m+ delete transport T1\nm+ delete room R1\n"
					       "figures {'rooms':0}\n"},
	{"media: a transport ends by itself: its producers", M, "",
		CALL CONSUME("B", "$pa",
			"$c") "media end $sa\n"
			      "B< PRODUCER_REMOVED {'reason':'transport_closed'}\nB< "
			      "CONSUMER_CLOSED {'reason':"
			      "'transport_closed'}\nB-\nA-\nm+ delete transport T1\n"
			      "A> PRODUCE {'transportId':'$sa','kind':'audio','rtpParameters':" OPUS
			      "}\n"
			      "A< ACK TRANSPORT_NOT_FOUND\nfigures "
			      "{'transports':1,'producers':0,'consumers':0}\n"},
	{"media: a transport ends by itself: its consumers", M, "",
		CALL CONSUME("B", "$pa",
			"$c") "media end $rb\n"
			      "B< CONSUMER_CLOSED "
			      "{'consumerId':'$c','reason':'transport_closed'}\nB-\nA-\n"
			      "figures {'transports':1,'producers':1,'consumers':0}\n"
			      "B> CONSUME {'producerId':'$pa','rtpCapabilities':" CAPS
			      "}\nB< ACK INTERNAL_ERROR\n"},
	{"C29 order is kept while the data plane thinks", M, "",
		READY("A", "a") "media hold\nA> TRANSPORT_CREATE {'direction':'send'}\nA> PING\n"
				"A> TRANSPORT_CREATE {'direction':'recv'}\nA-\nmedia go\n"
				"A< TRANSPORT_CREATED {'direction':'send'}\nA< ACK ok\nA< ACK ok\n"
				"A< TRANSPORT_CREATED {'direction':'recv'}\nA< ACK ok\nA-\n"},
	{"C29 the socket closes during a TRANSPORT_CREATE", M, "",
		READY("A", "a")
			READY("B", "b") "media hold\nA> TRANSPORT_CREATE\nA> PING\nm~\n"
					"close A\nm+ delete transport T1\nmedia go\nfigures "
					"{'transports':0,'peers':1}\nB~\n" SEND("B", "$t")},
	{"C29 … during a PRODUCE: nobody hears of the producer", M, "",
		CALL
		"media hold\nA> PRODUCE {'transportId':'$sa','kind':'video','rtpParameters':" VP8
		"}\nm~\nclose A\nB< PRODUCER_REMOVED {'producerId':'$pa'}\nB< PEER_LEFT\nB-\n"
		"m+ delete producer D2\nmedia go\nB-\nfigures {'producers':0}\n"},
	{"C29 … during a CONSUME", M, "",
		CALL "media hold\nB> CONSUME {'producerId':'$pa','rtpCapabilities':" CAPS "}\nm~\n"
		     "close B\nm+ delete consumer C1\nmedia go\nfigures "
		     "{'consumers':0,'producers':1}\n"},
	{"C29 a commit during a TRANSPORT_CREATE", M, "",
		READY("A", "a") READY(
			"B", "b") "A~\nmedia hold\nA> TRANSPORT_CREATE\n"
				  "B> REKEY_COMMIT {'epoch':1}\nA< REKEY_COMMIT\nA-\nm~\nmedia go\n"
				  "A< ACK E2EE_NOT_READY "
				  "{'retryable':true,'details':{'expectedEpoch':1}}\nA-\n"
				  "m+ delete transport T1\nfigures {'transports':0}\n"},
	{"C29 … during a PRODUCE", M, "",
		CALL
		"media hold\nA> PRODUCE {'transportId':'$sa','kind':'video','rtpParameters':" VP8
		"}\nB> REKEY_COMMIT {'epoch':1}\nA~\nB~\nm~\nmedia go\nA= {'ack':{'error':{'code':"
		"'E2EE_NOT_READY'}}}\nA-\nB-\nm+ delete producer D2\nfigures {'producers':1}\n"},
	{"C29 … during a CONSUME", M, "",
		CALL
		"media hold\nB> CONSUME {'producerId':'$pa','rtpCapabilities':" CAPS "}\n"
		"A> REKEY_COMMIT {'epoch':1}\nA~\nB~\nm~\nmedia go\nB= {'ack':{'error':{'code':"
		"'E2EE_NOT_READY'}}}\nB-\nm+ delete consumer C1\nfigures {'consumers':0}\n"},
	{"B6 C29 … and E2EE_READY tells of the producer again", M, "",
		CALL "media hold\nB> CONSUME {'producerId':'$pa','rtpCapabilities':" CAPS "}\n"
		     "A> REKEY_COMMIT {'epoch':1}\nmedia go\nA~\nB~\nB> E2EE_READY {'epoch':1}\n"
		     "B< ACK ok\nB< PRODUCER_ADDED {'producerId':'$pa'}\nB-\n"
		     "B> E2EE_READY {'epoch':1}\nB< ACK ok\nB-\n"},
	{"C29 a takeover during a TRANSPORT_CREATE", M, "",
		READY("A", "a") IN("C", "a") "media hold\nA> TRANSPORT_CREATE\nm~\n"
					     "C> ROOM_JOIN {'roomId':'room','deviceId':'dev-A'}\nA "
					     "closed 4009\nC~\n"
					     "m+ delete transport T1\nmedia go\nfigures "
					     "{'transports':0,'peers':1}\n"
					     "C> E2EE_READY {'epoch':0}\nC~\n" SEND("C",
						     "$t") "close A\nfigures {'transports':1}\n"},
	{"C29 the producer goes during its CONSUME", M, "",
		CALL "media hold\nB> CONSUME {'producerId':'$pa','rtpCapabilities':" CAPS "}\n"
		     "A> PRODUCER_CLOSE {'producerId':'$pa'}\nA< ACK ok\nB< "
		     "PRODUCER_REMOVED\nB-\nmedia go\n"
		     "B< ACK PRODUCER_NOT_FOUND\nB-\nfigures {'consumers':0}\n"},
	{"C29 the transport goes during a PRODUCE", M, "",
		CALL
		"media hold\nA> PRODUCE {'transportId':'$sa','kind':'video','rtpParameters':" VP8
		"}\nmedia end $sa\nmedia go\nA< ACK TRANSPORT_NOT_FOUND\nA-\n"
		"figures {'transports':1,'producers':0}\n"},
	{"C29 the recv transport goes during a CONSUME", M, "",
		CALL "media hold\nB> CONSUME {'producerId':'$pa','rtpCapabilities':" CAPS "}\n"
		     "media end $rb\nB-\nmedia go\nB< ACK INTERNAL_ERROR {'message':"
		     "'RECV_TRANSPORT_NOT_FOUND'}\nB-\nfigures {'consumers':0,'producers':1}\n"},
	{"C29 the data plane goes during a TRANSPORT_CREATE", M, "",
		READY("A", "a") "media hold\nA> TRANSPORT_CREATE\nA> PING\nmedia detach\n"
				"A< ACK SFU_NODE_UNAVAILABLE {'retryable':true}\nA< ACK ok\nA-\n"
				"figures {'transports':0}\nmedia attach\nmedia go\n" SEND(
					"A", "$t")},
	{"C29 … during a PRODUCE and a CONSUME", M, "",
		CALL
		"media hold\nA> PRODUCE {'transportId':'$sa','kind':'video','rtpParameters':" VP8
		"}\nB> CONSUME {'producerId':'$pa','rtpCapabilities':" CAPS "}\nmedia detach\n"
		"A< ACK SFU_NODE_UNAVAILABLE\nA-\nB< ACK SFU_NODE_UNAVAILABLE\nB-\n"
		"figures {'transports':2,'producers':1,'consumers':0}\n"},
	{"C29 the core ends while the data plane thinks", M, "",
		CALL
		"media hold\nA> PRODUCE {'transportId':'$sa','kind':'video','rtpParameters':" VP8
		"}\nB> CONSUME {'producerId':'$pa','rtpCapabilities':" CAPS "}\nA-\nB-\n"},
	{"C28 media ids of the wrong type", M, "",
		READY("A", "a") "A> PRODUCE {'transportId':7}\n"
				"A< ACK VALIDATION_FAILED {'message':'Invalid transportId'}\n"
				"A> PRODUCER_CLOSE {'producerId':true}\n"
				"A< ACK VALIDATION_FAILED {'message':'Invalid producerId'}\n"
				"A> ICE_RESTART {'transportId':[]}\n"
				"A< ACK VALIDATION_FAILED {'message':'Invalid transportId'}\n"
				"A> ICE_RESTART {'roomId':1}\n"
				"A< ACK VALIDATION_FAILED {'message':'Invalid roomId'}\n"
				"A> ROOM_LEAVE {'roomId':1}\n"
				"A< ACK VALIDATION_FAILED {'message':'Invalid roomId'}\n"
				"A> GET_ROUTER_RTP_CAPABILITIES {'roomId':1}\n"
				"A< ACK VALIDATION_FAILED {'message':'Invalid roomId'}\n"
				"A> ROOM_JOIN {'roomId':'room','deviceId':1}\n"
				"A< ACK VALIDATION_FAILED {'message':'Invalid deviceId'}\n"
				"A> ROOM_JOIN {'roomId':'room','callId':1}\n"
				"A< ACK VALIDATION_FAILED {'message':'Invalid callId'}\nA-\n"},
	{"A6 header extensions are mapped on both sides", M, "",
		READY("A", "a") SEND(
			"A", "$t") "A> PRODUCE {'transportId':'$t','kind':'audio',"
				   "'rtpParameters':{'codecs':[{'mimeType':'audio/"
				   "opus','payloadType':111,"
				   "'clockRate':48000,'channels':2}],'headerExtensions':[{'uri':"
				   "'urn:ietf:params:rtp-hdrext:sdes:mid','id':9},{'uri':"
				   "'urn:ietf:params:rtp-hdrext:ssrc-audio-level','id':5}],"
				   "'encodings':[{'ssrc':5}]}}\nA< PRODUCED "
				   "{'producerId':'$p'}\nA< ACK ok\n"
				   "m+ exts=9:1,5:6\n" RECV(
					   "A", "$r") "A> CONSUME {'producerId':'$p',"
						      "'rtpCapabilities':{'codecs':[{'kind':'audio'"
						      ",'mimeType':'audio/opus',"
						      "'preferredPayloadType':100,'clockRate':"
						      "48000,'channels':2}],'headerExtensions':["
						      "{'kind':'audio','uri':'urn:ietf:params:rtp-"
						      "hdrext:sdes:mid','preferredId':1},"
						      "{'kind':'audio','uri':'urn:ietf:params:rtp-"
						      "hdrext:ssrc-audio-level',"
						      "'preferredId':10}]}}\nA< CONSUMER_ADDED\nA< "
						      "ACK ok\nm+ exts=1:1,10:6\n"},
	{"C23 number of producers of a member", 0, "",
		READY("A", "a") SEND("A", "$t")
#define EIGHT_PRODUCERS                                                                            \
	"A> PRODUCE {'transportId':'$t'}\nA> PRODUCE {'transportId':'$t'}\n"                       \
	"A> PRODUCE {'transportId':'$t'}\nA> PRODUCE {'transportId':'$t'}\n"                       \
	"A> PRODUCE {'transportId':'$t'}\nA> PRODUCE {'transportId':'$t'}\n"                       \
	"A> PRODUCE {'transportId':'$t'}\nA> PRODUCE {'transportId':'$t'}\n"
			EIGHT_PRODUCERS EIGHT_PRODUCERS EIGHT_PRODUCERS EIGHT_PRODUCERS
				EIGHT_PRODUCERS EIGHT_PRODUCERS EIGHT_PRODUCERS EIGHT_PRODUCERS
		"A~\nfigures {'producers':64}\n"
		"A> PRODUCE {'transportId':'$t'}\nA< ACK RATE_LIMITED\n"},
	{"A9 rooms by region", 0, "",
		IN("A", "a") "A> ROOM_CREATE {'roomId':'r'}\nA> ROOM_CREATE {'roomId':'s'}\n"
			     "A> ROOM_CREATE {'roomId':'t','preferredRegion':'ae'}\nregions "
			     "{'tr':2,'ae':1}\n"},
	{"A5 an unknown type is not cut in the middle of a letter", 0, "",
		"open A\nA! {'v':1,'type':'@127\xc3\xa4\xc3\xa4','msgId':'m','ts':1,'seq':1}\n"
		"A= {'ack':{'error':{'code':'VALIDATION_FAILED'}}}\nA-\n"},
	{"media: a transport that ended twice, or is not known", M, "",
		READY("A", "a") SEND(
			"A", "$t") "media end $t\nm~\nA> TRANSPORT_CLOSE "
				   "{'transportId':'$t'}\nA< ACK TRANSPORT_NOT_FOUND\nm- delete\n"},
	{"C4 a repeated PRODUCE makes one producer", M, "",
		READY("A", "a") SEND("A", "$t")
#define PRODUCE_M                                                                                  \
	"A! {'v':1,'type':'PRODUCE','msgId':'m','ts':1,'seq':50,'payload':{'transportId':'$t',"    \
	"'kind':'audio','rtpParameters':" OPUS "}}\n"
			"media hold\n" PRODUCE_M PRODUCE_M "A-\nmedia go\nA< PRODUCED\n"
			"A= {'ack':{'ackOfMsgId':'m','ok':true}}\nA= "
			"{'ack':{'ackOfMsgId':'m','ok':true}}\nA-\n"
			"figures {'producers':1}\n"},
};

static void test_envelope(void **state)
{
	(void)state;
	ROWS(envelope_rows);
}

static void test_session(void **state)
{
	(void)state;
	ROWS(session_rows);
}

static void test_room(void **state)
{
	(void)state;
	ROWS(room_rows);
}

static void test_key(void **state)
{
	(void)state;
	ROWS(key_rows);
}

static void test_fallback(void **state)
{
	(void)state;
	ROWS(fallback_rows);
}

static void test_media(void **state)
{
	(void)state;
	ROWS(media_rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_envelope),
		cmocka_unit_test(test_session),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_fallback),
		cmocka_unit_test(test_media),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
