// SPDX-License-Identifier: BSD-3-Clause
/** Beginnings of conversations (core_script.h) that many rows share. */
#pragma once

/* A connection: authenticated with caps; a member of "room"; ready. */
#define IN(a, user)                                                                                \
	"open " a "\n" a "> HELLO {'client':{'deviceId':'dev-" a "'}}\n" a                         \
	"> AUTH {'accessToken':'user-" user "'}\n" a "> E2EE_CAPS {'insertableStreams':true}\n" a  \
	"~\n"
#define MEMBER(a, user) IN(a, user) a "> ROOM_JOIN {'roomId':'room'}\n" a "~\n"
#define READY(a, user) MEMBER(a, user) a "> E2EE_READY {'epoch':0}\n" a "~\n"
#define SEND(a, t)                                                                                 \
	a "> TRANSPORT_CREATE {'direction':'send'}\n" a "< TRANSPORT_CREATED {'transportId':'" t   \
	  "'}\n" a "< ACK ok\n"
#define RECV(a, t)                                                                                 \
	a "> TRANSPORT_CREATE {'direction':'recv'}\n" a "< TRANSPORT_CREATED {'transportId':'" t   \
	  "'}\n" a "< ACK ok\n"
#define PRODUCE(a, t, p, kind, rtp)                                                                \
	a "> PRODUCE {'transportId':'" t "','kind':'" kind "','rtpParameters':" rtp "}\n" a        \
	  "< PRODUCED {'producerId':'" p "'}\n" a "< ACK ok\n"
#define CONSUME(a, p, c)                                                                           \
	a "> CONSUME {'producerId':'" p "','rtpCapabilities':" CAPS "}\n" a                        \
	  "< CONSUMER_ADDED {'consumerId':'" c "'}\n" a "< ACK ok\n"

#define OPUS                                                                                       \
	"{'mid':'0','codecs':[{'mimeType':'audio/opus','payloadType':111,'clockRate':48000,"       \
	"'channels':2}],'encodings':[{'ssrc':1111}],'rtcp':{'cname':'me'}}"
#define VP8                                                                                        \
	"{'mid':'1','codecs':[{'mimeType':'video/VP8','payloadType':96,'clockRate':90000}],"       \
	"'encodings':[{'ssrc':2222}],'rtcp':{'cname':'me'}}"
#define SIMULCAST                                                                                  \
	"{'mid':'2','codecs':[{'mimeType':'video/VP8','payloadType':96,'clockRate':90000}],"       \
	"'encodings':[{'rid':'r0'},{'rid':'r1'},{'rid':'r2'}],'rtcp':{'cname':'me'}}"
#define CAPS                                                                                       \
	"{'codecs':[{'kind':'audio','mimeType':'audio/opus','preferredPayloadType':100,"           \
	"'clockRate':48000,'channels':2},{'kind':'video','mimeType':'video/VP8',"                  \
	"'preferredPayloadType':101,'clockRate':90000}],'headerExtensions':[]}"
#define CAPS_NONE                                                                                  \
	"{'codecs':[{'kind':'video','mimeType':'video/AV1','preferredPayloadType':45,"             \
	"'clockRate':90000}],'headerExtensions':[]}"
#define DTLS "{'role':'client','fingerprints':[{'algorithm':'sha-256','value':'AA:BB'}]}"

/* Two members: A sends opus as $pa, B has a recv transport $rb. */
#define CALL                                                                                       \
	READY("A", "a")                                                                            \
	READY("B", "b")                                                                            \
	"A~\n" SEND("A", "$sa") PRODUCE("A", "$sa", "$pa", "audio", OPUS) "B~\n" RECV(             \
		"B", "$rb") "B< PRODUCER_ADDED {'producerId':'$pa'}\nA-\nB-\n"

#define M SCRIPT_MEDIA

#define ROWS(table)                                                                                \
	for (size_t i = 0; i < sizeof(table) / sizeof((table)[0]); i++)                            \
		script_run(&(table)[i]);                                                           \
	printf("%zu rows\n", sizeof(table) / sizeof((table)[0]));
