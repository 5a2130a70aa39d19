#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# quickstart.sh demo|check [--yes]: from a bare Debian 12 to a running result.
#
#   demo    decode a PNG with the unmodified libpng behind per-object grants,
#           in a virtual machine with Debian's 6.1 kernel
#   check   every test: host, virtual machines with three kernels, the debug
#           kernels, the mutants
#   --yes   do not ask before installing packages (nor when CI=true)
#
# The machine needs no protection keys: the virtual machine emulates them. Only
# the packages are installed; the kernels go into $FFG_CACHE (~/.cache/ffiguard).
set -eu

# To build the library, the module and the programs; to boot them. xfdesktop4-data
# and libjs-jquery have the .png and, where documentation is left out, the .gz.
packages_demo='autoconf automake bc binutils bison busybox-static
	ca-certificates cpio debian-archive-keyring dpkg-dev flex gcc gcc-12
	kmod libc6-dev libelf-dev libjemalloc-dev libjs-jquery libpng-dev libssl-dev libtool linux-libc-dev
	make pkg-config procps python3 python3-docutils qemu-system-x86
	util-linux xfdesktop4-data xz-utils zlib1g-dev zstd'
# linux-source: the kselftest harness, checkpatch, the debug kernels. The
# others are what lint and the release tarball want.
packages_check='codespell coccinelle file g++ gdb git libc6-dbg linux-source-6.1
	perl python3-yaml rsync shellcheck sparse strace'
# The libraries that selftests/real runs behind the gate, what they read, and a
# second language.
packages_real='fonts-dejavu-core libexpat1-dev libharfbuzz-dev libjpeg62-turbo-dev
	libopenblas-pthread-dev libsnappy-dev libsqlite3-dev libturbojpeg0-dev
	libwebp-dev libxml2-dev libzstd-dev rustc'

# In this order; a failure does not keep the rest from running (make -k, too).
targets_check='check check-debug check-mutants'

top=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
build=${FFG_BUILD:-$top/build}
begun=$(date +%s)

say()
{
	printf '[%3d s] %s\n' $(($(date +%s) - begun)) "$*"
}

die()
{
	printf 'quickstart: %s\n' "$*" >&2
	exit 1
}

usage()
{
	sed -n '4,13s/^# \{0,1\}//p' "$0"
}

as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

check_system()
{
	[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] ||
		die "this is $(uname -s) on $(uname -m): ffiguard needs Linux on x86-64"
	command -v apt-get >/dev/null ||
		die "there is no apt-get here: this script is for Debian 12; CONTRIBUTING.md lists what to install elsewhere"
	id=$(sed -n 's/^ID=//p' /etc/os-release)
	version=$(sed -n 's/^VERSION_ID="\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' /etc/os-release)
	[ "$id $version" = 'debian 12' ] ||
		say "warning: made for and tested on Debian 12, this is $id $version"
}

# No file of ours stands for "installed": dpkg is asked, once for all of them.
missing_packages()
{
	# shellcheck disable=SC2048,SC2086 # lists of words
	installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $* 2>/dev/null |
		sed -n 's/^installed //p')
	# shellcheck disable=SC2048 # a list of words
	for package in $*; do
		grep -qxF "$package" <<<"$installed" || printf '%s ' "$package"
	done
}

install_packages()
{
	missing=$(missing_packages "$@")
	[ -n "$missing" ] || {
		say "all packages are there"
		return
	}
	if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
		die "packages are missing and there is neither root nor sudo to install them: $missing"
	fi
	echo "These Debian packages are missing and will be installed:"
	echo "$missing" | fold -s -w 72 | sed 's/^/    /'
	if [ "$yes" = no ]; then
		printf 'Install them? [y/N] '
		read -r answer || answer=
		case $answer in
		y | Y | yes | Yes) ;;
		*) die "nothing was installed (--yes installs without asking)" ;;
		esac
	fi
	say "installing packages"
	as_root apt-get -q -o DPkg::Lock::Timeout=600 update ||
		die "apt-get update failed: is there a network?"
	# shellcheck disable=SC2086 # a list of words
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
		-o DPkg::Lock::Timeout=600 install --no-install-recommends $missing ||
		die "apt-get install failed: see above"
}

configure()
{
	cd "$top"
	if [ ! -x configure ] || [ -n "$(find configure.ac m4/ffg_*.m4 Makefile.am ./*/Makefile.am -newer configure)" ]; then
		say "making configure"
		./bootstrap
	fi
	mkdir -p "$build"
	cd "$build"
	if [ ! -e Makefile ] || [ "$top/configure" -nt config.status ]; then
		say "configuring in $build"
		"$top/configure" --quiet
	fi
}

run_make()
{
	say "make $*"
	make -C "$build" -j"$(nproc)" "$@"
}

what='' yes=no
[ "${CI:-}" != true ] || yes=yes
for word; do
	case $word in
	demo | check) what=$word ;;
	--yes | -y) yes=yes ;;
	--help | -h)
		usage
		exit 0
		;;
	*)
		usage >&2
		die "unknown word $word"
		;;
	esac
done
[ -n "$what" ] || {
	usage >&2
	exit 2
}

check_system
case $what in
demo)
	install_packages "$packages_demo"
	configure
	run_make --no-print-directory demo || die "the demo failed: see above"
	;;
check)
	install_packages "$packages_demo $packages_check $packages_real"
	configure
	run_make --no-print-directory all || die "the build failed: see above"
	failed=''
	for target in $targets_check; do
		# VMs are started two at a time by run-suites; make is not to add to that.
		say "make $target"
		make -k -C "$build" --no-print-directory "$target" || failed="$failed $target"
	done
	[ -z "$failed" ] || die "failed:$failed (see above)"
	;;
esac
say "$what done"
