# SPDX-License-Identifier: BSD-3-Clause
# Sourced by deploy/quickstart and tests/e2e/_init.sh: packages, build, port and daemons of one
# system on this machine. Every function works in the network namespace it is called in, or in $ns
# when that is set ("ip netns exec").
#
#   browsers, peers                    sfu-dp (DPDK, answers for 198.18.99.2
#        │                                │         and fd5f:75::2)
#      sfu0 198.18.99.1/30 ══ veth ══ sfu-dp0 (no address)
#        │  fd5f:75::1/64
#   sfu-ctl: HTTP and WebSocket on every address of the namespace

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${SFU_BUILD:-$root/build}
host_if=sfu0
dp_if=sfu-dp0
host_ip=198.18.99.1
dp_ip=198.18.99.2
host_ip6=fd5f:75::1
dp_ip6=fd5f:75::2
http_port=${SFU_PORT:-8888}
run_dir=
dp_pid=
ctl_pid=
net_made=
ns=
# What the daemons are started by, where it is not this shell: a command and its arguments.
dp_under=()
ctl_under=()

# One list for people and CI. What runs needs is a subset of what the build needs.
packages_build=(build-essential meson ninja-build pkg-config libdpdk-dev dpdk libsrtp2-dev
	libwebsockets-dev libwebsockets-evlib-uv libuv1-dev libjson-c-dev libcurl4-openssl-dev
	libssl-dev libipsec-mb-dev libnice-dev libglib2.0-dev libcmocka-dev iproute2 procps util-linux ca-certificates
	nodejs npm)

say() {
	printf '%s\n' "$*" >&2
}

die() {
	printf '%s\n' "${0##*/}: $*" >&2
	exit 1
}

in_ns() {
	if [ -n "$ns" ]; then
		ip netns exec "$ns" "$@"
	else
		"$@"
	fi
}

# Which of the packages given are not installed, one per line.
packages_missing() {
	local p
	for p in "$@"; do
		# A newer Node from elsewhere serves as well as Debian's.
		case $p in
		nodejs) command -v node >/dev/null && continue ;;
		npm) command -v npm >/dev/null && continue ;;
		esac
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || echo "$p"
	done
}

packages_install() {
	local missing
	missing=$(packages_missing "$@")
	[ -n "$missing" ] || return 0
	[ "$(id -u)" = 0 ] || die "these packages are missing; install them as root first:
  apt-get install $(echo $missing)"
	say "installing: $(echo $missing)"
	apt-get update -qq >&2 || die "apt-get update failed: is the package mirror reachable?"
	# shellcheck disable=SC2086
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing \
		>"${TMPDIR:-/tmp}/sfu-apt.$$" 2>&1 || {
		tail -n 20 "${TMPDIR:-/tmp}/sfu-apt.$$" >&2
		die "apt-get install failed (above)"
	}
	rm -f "${TMPDIR:-/tmp}/sfu-apt.$$"
}

# The logs lie beside what is built: where one cannot be written, nothing can be built.
log_begin() {
	: 2>/dev/null >"$1" || die "cannot write ${1%/*}: build as the owner of this checkout, or into another folder with SFU_BUILD=…"
}

# Configure and compile into $build; quiet unless it fails. More arguments go to meson setup.
build_programs() {
	local log="$build.log"
	log_begin "$log"
	if [ ! -f "$build/build.ninja" ]; then
		say "configuring $build"
		meson setup "$build" "$root" "$@" >"$log" 2>&1 || { tail -n 30 "$log" >&2; die "meson setup failed"; }
	fi
	say "building"
	ninja -C "$build" >"$log" 2>&1 || { grep -E 'error|FAILED|warning' "$log" | head -n 30 >&2; die "the build failed; see $log"; }
	rm -f "$log"
}

# The page: bundle from npm, only when the sources are newer.
build_page() {
	local demo="$root/deploy/demo" log="$build.page.log"
	if [ -f "$demo/dist/index.html" ] && [ -z "$(find "$demo" -path "$demo/node_modules" -prune -o -path "$demo/dist" -prune -o -type f -newer "$demo/dist/index.html" -print -quit)" ]; then
		return 0
	fi
	log_begin "$log"
	say "building the page"
	(cd "$demo" && npm ci --no-audit --no-fund && npm run build) >"$log" 2>&1 || { tail -n 20 "$log" >&2; die "the page does not build"; }
	rm -f "$log"
}

# What sfu-dp answers for: IPv6 too where the kernel has it.
dp_addresses() {
	if in_ns grep -qx 0 /proc/sys/net/ipv6/conf/default/disable_ipv6 2>/dev/null; then
		echo "$dp_ip,$dp_ip6"
	else
		echo "$dp_ip"
	fi
}

# Our end of the link.
addresses_up() {
	in_ns ip addr add "$host_ip/30" dev "$host_if"
	case $(dp_addresses) in
	*:*) in_ns ip -6 addr add "$host_ip6/64" dev "$host_if" nodad ;;
	esac
}

# A veth pair, or a tap device where veth cannot be had. Prints what to do when neither works.
net_up() {
	in_ns ip link set lo up 2>/dev/null || true
	if in_ns ip link show "$host_if" >/dev/null 2>&1; then
		die "the interface $host_if exists already: another quickstart runs, or remove it with: ip link del $host_if"
	fi
	# From here on it is ours to remove; another one's is not.
	net_made=1
	if in_ns ip link add "$host_if" type veth peer name "$dp_if" 2>/dev/null; then
		dp_device="net_af_packet0,iface=$dp_if"
		# No autoconfiguration noise on the DPDK end.
		in_ns sysctl -qw "net.ipv6.conf.$dp_if.disable_ipv6=1" 2>/dev/null || true
		in_ns ip link set "$dp_if" up txqueuelen 10000
		in_ns ip link set "$host_if" up txqueuelen 10000
		addresses_up
	elif [ -c /dev/net/tun ]; then
		dp_device="net_tap0,iface=$host_if"
	else
		die "neither a veth pair nor a tap device can be made here: run as root, or where the kernel allows user namespaces"
	fi
}

# Addresses on the kernel's end once it exists (a tap is made by sfu-dp itself).
net_finish() {
	case $dp_device in
	net_tap*)
		addresses_up
		in_ns ip link set "$host_if" up
		;;
	esac
}

net_down() {
	[ -n "$net_made" ] || return 0
	in_ns ip link del "$host_if" 2>/dev/null || true
	net_made=
}

# Wait until a command succeeds; $1 = tenths of a second.
wait_until() {
	local n=$1
	shift
	while ! "$@" >/dev/null 2>&1; do
		n=$((n - 1))
		[ "$n" -gt 0 ] || return 1
		sleep 0.1
	done
}

run_dir_make() {
	run_dir=$(mktemp -d "${TMPDIR:-/tmp}/sfu-run.XXXXXX")
	chmod 755 "$run_dir"
	# A TMPDIR of root's own is no place for sfu-ctl's user.
	if [ -n "${ctl_user:-}" ] && ! setpriv --reuid="$ctl_user" --regid="$ctl_group" --clear-groups test -x "$run_dir"; then
		rmdir "$run_dir"
		run_dir=$(mktemp -d /tmp/sfu-run.XXXXXX)
		chmod 755 "$run_dir"
	fi
	mkdir -m 700 "$run_dir/state" "$run_dir/eal"
	mkdir -m 755 "$run_dir/link"
}

# sfu-dp in the background; further arguments are --set KEY=VALUE or --config FILE.
dp_start() {
	: >"$run_dir/sfu-dp.out" # what a predecessor said there is not its word
	# Not through in_ns: $! must be the program, and no shell around it.
	${ns:+ip netns exec "$ns"} env RUNTIME_DIRECTORY="$run_dir/eal" "${dp_under[@]}" "$build/sfu-dp/sfu-dp" \
		--config "$root/dpdk-config/${dp_profile:-netns}.conf" \
		--set "SFU_DP_DEVICE=$dp_device" --set "SFU_DP_ADDRESS=$(dp_addresses)" \
		--set "SFU_LINK=$run_dir/link/dp.sock" --set "SFU_LINK_GROUP=${ctl_group:-}" \
		--set "SFU_DP_CLI=$run_dir/dp-cli.sock" \
		"$@" >"$run_dir/sfu-dp.out" 2>>"$run_dir/sfu-dp.log" &
	dp_pid=$!
	if ! wait_until 100 dp_ready || ! kill -0 "$dp_pid" 2>/dev/null; then
		cat "$run_dir/sfu-dp.log" >&2
		die "sfu-dp did not start (above)"
	fi
	net_finish
}

dp_ready() {
	# A process that ended cannot become ready: stop waiting by claiming so, the caller looks again.
	kill -0 "$dp_pid" 2>/dev/null || return 0
	grep -q '^sfu-dp ready' "$run_dir/sfu-dp.out"
}

# sfu-ctl in the background, unprivileged where we are root; further arguments are --set KEY=VALUE.
ctl_start() {
	local drop=() program="$build/sfu-ctl/sfu-ctl"
	if [ -n "${ctl_user:-}" ]; then
		# A copy, since that user may have no way to a checkout in somebody's home.
		install -m 755 "$program" "$run_dir/sfu-ctl"
		program="$run_dir/sfu-ctl"
		drop=(setpriv --reuid="$ctl_user" --regid="$ctl_group" --clear-groups --no-new-privs)
		chown "$ctl_user:$ctl_group" "$run_dir/state"
	fi
	${ns:+ip netns exec "$ns"} "${ctl_under[@]}" "${drop[@]}" "$program" \
		--set "SFU_PORT=$http_port" --set "SFU_ENABLE_DP=1" --set "SFU_LINK=$run_dir/link/dp.sock" \
		--set "SFU_STATE_DIR=$run_dir/state" --set "CALLS_DEV_INSECURE_AUTH=1" \
		"$@" >"$run_dir/sfu-ctl.out" 2>>"$run_dir/sfu-ctl.log" &
	ctl_pid=$!
}

# ctl_get PATH: what sfu-ctl answers, head included. No curl: what is installed is enough.
ctl_get() {
	in_ns bash -c "exec 3<>/dev/tcp/127.0.0.1/$http_port && printf 'GET $1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3 && timeout 2 cat <&3" 2>/dev/null
}

# True when sfu-ctl answers and has its data plane.
ctl_media_ready() {
	ctl_get /metrics | grep -q '"mode": *"mediasoup"'
}

ctl_wait() {
	if ! wait_until "${1:-100}" ctl_alive_and_ready; then
		cat "$run_dir/sfu-ctl.log" "$run_dir/sfu-ctl.out" >&2
		die "sfu-ctl did not become ready (above)"
	fi
	kill -0 "$ctl_pid" 2>/dev/null || {
		cat "$run_dir/sfu-ctl.log" "$run_dir/sfu-ctl.out" >&2
		die "sfu-ctl ended (above)"
	}
}

ctl_alive_and_ready() {
	kill -0 "$ctl_pid" 2>/dev/null || return 0
	ctl_media_ready
}

# The process that forwards; $dp_pid is its keeper.
dp_process() {
	ps -o pid= --ppid "$dp_pid" | awk 'NR == 1 { print $1 }'
}

dp_cli() {
	"$build/sfu-dp/dp-cli" --socket "$run_dir/dp-cli.sock" "$@"
}

# End one child: TERM, then KILL after five seconds.
pid_stop() {
	local pid=$1 n=50
	[ -n "$pid" ] || return 0
	kill -TERM "$pid" 2>/dev/null || return 0
	while kill -0 "$pid" 2>/dev/null && [ "$n" -gt 0 ]; do
		sleep 0.1
		n=$((n - 1))
	done
	kill -KILL "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
}

# A process that forwards and has lost its keeper listens for the next one: nobody else knows of it.
dp_orphan() {
	[ -S "$run_dir/dp-cli.sock.keeper" ] || return 0
	dp_cli --json show link 2>/dev/null | sed -n 's/.*"process": *\([0-9]*\).*/\1/p'
}

system_stop() {
	pid_stop "$ctl_pid"
	pid_stop "$dp_pid"
	pid_stop "$(dp_orphan)"
	ctl_pid=
	dp_pid=
	net_down
	[ -z "$run_dir" ] || rm -rf "$run_dir"
	run_dir=
}
