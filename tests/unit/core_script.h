// SPDX-License-Identifier: BSD-3-Clause
/**
 * Conversations with the control core as text, run without sockets, threads or time.
 *
 * One step per line; JSON is written with ' for ". A connection is one capital letter.
 *
 *   open A                     connect
 *   open A ADDRESS             … from there
 *   insecure A                 … without TLS
 *   expires A N                the token of A's last AUTH expires in N seconds
 *   A> TYPE {payload}          send a frame: v, msgId "A-<n>", ts and seq are made up
 *   A! text                    send this text
 *   A< TYPE {payload}          the next frame to A has this type and at least this payload
 *   A< ACK ok                  the next frame accepts A's oldest unanswered frame
 *   A< ACK CODE {error}        … refuses it
 *   A= {frame}                 the next frame, as a whole, contains this
 *   A-                         nothing more was sent to A
 *   A~                         forget what was sent to A
 *   A closed CODE              the core asked to close A
 *   close A                    the socket is gone, after a close frame
 *   lose A                     … without one
 *   auth A user|bad|down       answer the AUTH of A that was made with the token "hold"
 *   time N                     N milliseconds pass; core_tick() where it was asked for
 *   stop N                     … pass, and nobody asks it for anything: the process stands still
 *   media hold|go              answers of the data plane wait | come
 *   media ok|full|unavailable|refused   what they will say
 *   media errno N              the next creation fails at once
 *   media attach|detach        the data plane comes and goes
 *   reload NAME=VALUE …        these settings are now so, as after SIGHUP
 *   restart                    the core is killed and begins again with what it left; connections are
 *                              gone, the data plane is away until "media attach"
 *   forget KIND ID             it was not told of that when it is killed
 *   hand over                  the core stops and waits for its clients' close frames
 *   media lose                 it will come back without transports, and what hangs on them
 *   media end $x               the transport with the id $x ends
 *   m+ text                    a call to the data plane had this text, since the last m~
 *   m- text                    none had
 *   m~                         forget the calls
 *   nodes LIST                 SFU_REGIONS is this now
 *   node N up|sick|down [LOAD] the Nth of it takes rooms | says no | does not answer; it is "other-N"
 *   clock MS                   another node's clock is so far ahead
 *   wall MS                    it is so late, Unix time
 *   drain MS                   core_drain(), with a deadline
 *   figures {…}                core_figures(); here: core_members_here(), load: core_load()
 *   regions {…}                core_rooms_by_region()
 *
 * In expected JSON: members not named are free; arrays have the same length; '*' is anything but
 * absent; '-' is absent; '#' is a number; '$x' is a string that is the same everywhere, and is put
 * into what is sent. Tokens: "user-x" is accepted as x, "bad" refused, "down" cannot be asked, for "nomem" there
 * is no memory.
 *
 * Checked without being asked: the shape of every frame (A2, A3), seq +1, unique msgIds.
 */
#pragma once

#include "sfu-ctl/config.h"

/** Flags of a row. */
#define SCRIPT_MEDIA 0x1u /* media mode, data plane attached */
#define SCRIPT_DETACHED 0x2u /* media mode, data plane not there yet */

struct script {
	const char *name; /* protocol section and what is claimed */
	unsigned flags;
	const char *settings; /* "key=value …", see apply_setting(); "" = defaults */
	const char *text;
};

/** Run one; on a surprise prints it and exits. */
void script_run(const struct script *script);
