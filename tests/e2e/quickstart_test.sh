#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The quickstart as people use it: Ctrl-C (also twice), a terminal that closes, a second one on the
# same machine, a network namespace by name. However it ends, nothing of it is left, and nothing of
# anybody else is gone.
. "$(dirname "$0")/_init.sh"

# Names of network namespaces and folders of runs are seen by all: our own.
mount -t tmpfs tmpfs /run 2>/dev/null
export TMPDIR
TMPDIR=$(mktemp -d)
chmod 755 "$TMPDIR"
trap 'rm -rf "$TMPDIR"' EXIT
export SFU_BUILD=$build
ip link set lo up

quickstart=
said="$TMPDIR/said"

# In a session of its own, as a terminal gives it: Ctrl-C goes to the whole process group. Signals as
# a terminal gives them, too: a test runner under nohup has HUP ignored, and a shell cannot undo that.
begin() {
	: >"$said"
	setsid env --default-signal=HUP,INT,QUIT "$root/deploy/quickstart" "$@" >"$said" 2>&1 &
	quickstart=$!
	wait_until 600 ready_or_ended && grep -q '^ready: ' "$said" || {
		cat "$said"
		return 1
	}
}

ready_or_ended() {
	grep -q '^ready: ' "$said" || ! kill -0 "$quickstart" 2>/dev/null
}

# ends SIGNAL…: each to the process group, a moment between; gone within ten seconds.
ends() {
	local signal
	for signal in "$@"; do
		kill "-$signal" "-$quickstart" 2>/dev/null
		sleep 0.05
	done
	wait_until 100 gone
}

gone() {
	! kill -0 "$quickstart" 2>/dev/null
}

nothing_left() {
	local left
	left=$(
		ip -o link | awk -F': ' '$2 != "lo" { print "interface", $2 }'
		find "$TMPDIR" -mindepth 1 -not -name said -printf 'file %p\n'
		find /dev/shm -name '*sfu*' -printf 'file %p\n'
		ps -eo comm= | grep -E '^sfu-(dp|ctl|peer)' | sed 's/^/process /'
	)
	[ -z "$left" ] || {
		echo "$left"
		return 1
	}
}

# refused WORD ARGUMENT…: ends with an error, and its last line has the word in it.
refused() {
	local word=$1 status=0
	shift
	"${as[@]}" "$root/deploy/quickstart" "$@" >"$said.2" 2>&1 </dev/null || status=$?
	if [ "$status" = 0 ] || ! tail -n 1 "$said.2" | grep -qF -- "$word"; then
		cat "$said.2"
		return 1
	fi
	rm -f "$said.2"
}
as=(env)

check "it becomes ready" begin
check "a second one is refused" refused "exists already"
check "and the first one keeps its interface" ip link show "$host_if"
check "a port that is none is named" refused 8888x --port 8888x
check "Ctrl-C ends it" ends INT
check "and nothing is left" nothing_left

check "it becomes ready again" begin --workers 2
check "Ctrl-C twice ends it" ends INT INT
check "and nothing is left" nothing_left

check "it becomes ready again" begin
check "it ends with its terminal" ends HUP
check "and nothing is left" nothing_left

# Of this quickstart, and of nothing else in these namespaces.
of_name() {
	pgrep -o -x "$1"
}

# Asked once: between two questions the old one may go.
came_back() {
	local pid
	pid=$(of_name "$1") && [ "$pid" != "$2" ]
}

media_ready() {
	http_port=8888 ctl_media_ready
}

# The keeper ended, its process did not: nobody else knows of it.
check "it becomes ready again" begin
keeper=$(of_name sfu-dp)
kill -KILL "$keeper"
check "without a supervisor a death ends it" wait_until 100 gone
check "and it says what ended" grep -q 'ended by itself' "$said"
check "and nothing is left, nor an orphan" nothing_left

check "supervised it becomes ready" begin --supervise
for victim in sfu-ctl sfu-dp; do
	pid=$(of_name "$victim")
	kill -KILL "$pid"
	check "$victim comes back" wait_until 100 came_back "$victim" "$pid"
	check "which is said" wait_until 50 grep -q "^$victim ended (137), starting it again" "$said"
	check "and there is media" wait_until 100 media_ready
done
check "Ctrl-C ends it" ends INT
check "and nothing is left" nothing_left
check "supervised it becomes ready" begin --supervise
for ((i = 0; i < 5; i++)); do
	pid=$(of_name sfu-ctl)
	kill -KILL "$pid"
	wait_until 50 came_back sfu-ctl "$pid"
done
check "who dies again and again is given up" wait_until 100 gone
check "which is said" grep -q 'given up' "$said"
check "and nothing is left" nothing_left

chmod 700 "$TMPDIR"
check "a TMPDIR of root alone does not matter" begin
check "Ctrl-C ends it" ends INT
chmod 755 "$TMPDIR"

ip netns add rest-b
check "in a namespace by name" begin --netns rest
check "which it made, though another one's name begins so" test -e /run/netns/rest
check "its interface is in there" test -z "$(ip -o link | grep -F "$host_if")"
check "Ctrl-C ends it" ends INT
check "the namespace is gone" test ! -e /run/netns/rest
check "another one is not" test -e /run/netns/rest-b
check "it becomes ready in one that was there" begin --netns rest-b
check "Ctrl-C ends it" ends INT
check "the namespace stays" test -e /run/netns/rest-b
check "and nothing is left" nothing_left
ip netns del rest-b

if [ -n "${ctl_user:-}" ] && setpriv --reuid="$ctl_user" --regid="$ctl_group" --clear-groups test -x "$root"; then
	as=(setpriv "--reuid=$ctl_user" "--regid=$ctl_group" --clear-groups)
	check "without root it says so" refused "as root"
	as+=(env "SFU_BUILD=$TMPDIR/build")
	check "a folder that is another's is named" refused "$TMPDIR" --build
fi
finish
