#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Builds ffiguard.ko against one kernel, outside of the source tree.
# The only place of the build that runs "make -C KDIR": Kbuild writes beside
# its sources, so a folder of symbolic links stands in for them.
set -eu

usage()
{
	cat <<-USAGE
	usage: kbuild.sh --kernel NAME | --kdir DIR  --out DIR [--target T] [MAKEVAR=VALUE..]

	  --kernel NAME  a kernel of the cache (see selftests/vm/fetch-kernels)
	  --kdir DIR     a kernel build or headers tree
	  --out DIR      the module becomes DIR/ffiguard.ko
	  --target T     Kbuild's target, modules by default
	  MAKEVAR=VALUE  handed to Kbuild: W=1 C=2 FFG_COVERAGE=y FFG_MUTANT=NAME ...
	USAGE
}

die()
{
	echo "kbuild.sh: $*" >&2
	exit 1
}

top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
cache=${FFG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ffiguard}
kernel='' kdir='' out='' target=modules

while [ $# -gt 0 ]; do
	case $1 in
	--kernel|--kdir|--out|--target)
		[ $# -ge 2 ] || die "$1 needs a value"
		case $1 in
		--kernel) kernel=$2 ;;
		--kdir) kdir=$2 ;;
		--out) out=$2 ;;
		--target) target=$2 ;;
		esac
		shift 2 ;;
	-h|--help) usage; exit 0 ;;
	--) shift; break ;;
	-*) usage >&2; die "unknown option $1" ;;
	*) break ;;
	esac
done

[ -n "$out" ] || { usage >&2; die "--out is missing"; }
if [ -n "$kernel" ]; then
	[ -z "$kdir" ] || die "--kernel and --kdir exclude each other"
	kdir=$cache/kernels/$kernel/kdir
	[ -e "$kdir/Makefile" ] ||
		die "kernel $kernel is not in $cache; run: selftests/vm/fetch-kernels $kernel"
	if [ -f "$cache/kernels/$kernel/make-args" ]; then
		# One assignment per line; they come before the caller's, which win.
		count=$#
		while IFS= read -r arg || [ -n "$arg" ]; do
			[ -z "$arg" ] || set -- "$@" "$arg"
		done <"$cache/kernels/$kernel/make-args"
		while [ "$count" -gt 0 ]; do
			first=$1
			shift
			set -- "$@" "$first"
			count=$((count - 1))
		done
	fi
fi
# "make -n" runs this script all the same, since it shares the job slots.
first=${MAKEFLAGS:-}
first=${first%% *}
case $first in
-*|*=*) ;;
*n*) echo "kbuild.sh --kdir $kdir --out $out $*"; exit 0 ;;
esac
[ -n "$kdir" ] || { usage >&2; die "--kernel or --kdir is missing"; }
[ -e "$kdir/Makefile" ] ||
	die "$kdir is no kernel build tree; install linux-headers or give another one"

farm=$out/farm
mkdir -p "$farm"
out=$(cd "$out" && pwd -P)
farm=$out/farm

# Two builds into the same folder would undo each other's links.
exec 9>"$out/.lock"
flock 9

# A file that left the source tree must leave the farm too.
find "$farm" -type l | while IFS= read -r link; do
	[ -e "$link" ] || rm -f "$link"
done
(cd "$top" && find kmod include/uapi \
	\( -path kmod/ko -o -name '.*' -o -name '*.mod.c' \) -prune -o \
	\( -name '*.[chS]' -o -name Kbuild \) -print) |
while IFS= read -r file; do
	[ "$(readlink "$farm/$file" 2>/dev/null)" = "$top/$file" ] && continue
	mkdir -p "$farm/${file%/*}"
	ln -sfn "$top/$file" "$farm/$file"
done

# The caller's make must not hand its own variables (CC, CFLAGS, DESTDIR, ...)
# to Kbuild, but may share its job slots.
jobserver=$(printf '%s\n' "${MAKEFLAGS:-}" |
	sed -n 's/.*\(--jobserver-[a-z]*=[^ ]*\).*/\1/p')
unset CFLAGS CPPFLAGS LDFLAGS ASFLAGS CC LD ARCH MAKEOVERRIDES MFLAGS DESTDIR \
	src obj srctree objtree || :
if [ -n "$jobserver" ]; then
	MAKEFLAGS=" -j $jobserver"
	jobs=
else
	MAKEFLAGS=
	jobs=-j${FFG_JOBS:-$(nproc)}
fi
export MAKEFLAGS

# shellcheck disable=SC2086 # no job count when the caller's slots are shared
make --no-print-directory $jobs -C "$kdir" M="$farm/kmod" "$@" "$target"

# An unchanged module keeps its time stamp, for whoever depends on it.
if [ "$target" = modules ]; then
	cmp -s "$farm/kmod/ffiguard.ko" "$out/ffiguard.ko" ||
		cp -f "$farm/kmod/ffiguard.ko" "$out/ffiguard.ko"
fi
