# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the scripts of this folder share: messages, the cache, the private apt
# root. Sourced, never run.

FFG_CACHE=${FFG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ffiguard}
FFG_VM=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034 # used by the scripts that source this file
FFG_TOP=$(cd "$FFG_VM/../.." && pwd)
FFG_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# Kernels kept by an older version of these scripts are fetched again.
# shellcheck disable=SC2034 # used by the scripts that source this file
FFG_CACHE_FORMAT=1

say()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die()
{
	say "$*"
	exit 1
}

# need PROGRAM PACKAGE: stop with a usable message when PROGRAM is missing.
need()
{
	command -v "$1" >/dev/null 2>&1 ||
		die "$1 is missing: install the Debian package $2 (or run ./quickstart.sh)"
}

# kernel_row NAME: print the fields of one line of kernels.list.
kernel_row()
{
	awk -v name="$1" '!/^#/ && $1 == name { print $2, $3, $4; found = 1 }
		END { exit !found }' "$FFG_VM/kernels.list"
}

kernel_names()
{
	awk '!/^#/ && NF { print $1 }' "$FFG_VM/kernels.list"
}

# debian_uri SUITE: the mirror that this host itself uses for such a suite, so
# that a local mirror is respected and no script names a server.
debian_uri()
{
	local suite=$1 uri rows want

	case $suite in
	*-security)
		want='^[a-z]+-security$'
		uri=${FFG_DEBIAN_SECURITY_MIRROR:-}
		;;
	*)
		want='^(bookworm|trixie|forky|sid|oldstable|stable|testing|unstable)$'
		uri=${FFG_DEBIAN_MIRROR:-}
		;;
	esac
	if [ -z "$uri" ]; then
		rows=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' \
			'Created-By: Packages')
		uri=$(awk -v want="$want" '$2 ~ want { print $1; exit }' <<<"$rows")
	fi
	[ -n "$uri" ] || return 1
	printf '%s\n' "$uri"
}

# apt_root DIR SUITES: make a private apt root in DIR. Nothing of the host's
# apt is read but its configuration (proxies), nothing of it is written.
apt_root()
{
	local dir=$1 suite uri
	local -a list

	[ -r "$FFG_KEYRING" ] ||
		die "$FFG_KEYRING is missing: install debian-archive-keyring"
	mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial" "$dir/none"
	: >"$dir/status"
	: >"$dir/sources.list"
	# Backports are not to be second to the suite they are for.
	printf 'Package: *\nPin: release o=Debian*\nPin-Priority: 900\n' >"$dir/preferences"
	IFS=, read -ra list <<<"$2"
	for suite in "${list[@]}"; do
		if ! uri=$(debian_uri "$suite"); then
			case $suite in
			*-security)
				say "no security mirror in the host's apt sources: going on without $suite"
				continue
				;;
			esac
			die "no Debian mirror in the host's apt sources: set FFG_DEBIAN_MIRROR to the address of one"
		fi
		printf 'deb [arch=amd64 signed-by=%s] %s %s main\n' \
			"$FFG_KEYRING" "$uri" "$suite" >>"$dir/sources.list"
	done
	FFG_APT=(-q -q
		-o "Dir::State=$dir/state" -o "Dir::State::status=$dir/status"
		-o "Dir::Cache=$dir/cache" -o "Dir::Etc::sourcelist=$dir/sources.list"
		-o "Dir::Etc::sourceparts=$dir/none" -o "Dir::Etc::preferences=$dir/preferences"
		-o "Dir::Etc::preferencesparts=$dir/none"
		-o Acquire::Languages=none -o APT::Architecture=amd64
		-o APT::Architectures=amd64 -o Acquire::Retries=3
		-o APT::Update::Error-Mode=any)
	# As root, apt would drop to a user who cannot enter the cache.
	[ "$(id -u)" != 0 ] || FFG_APT+=(-o APT::Sandbox::User=root)
	apt-get "${FFG_APT[@]}" update >&2 ||
		die "cannot read the package lists of $2 (network, proxy or mirror?)"
}

# apt_linux_closure PACKAGE...: print the packages and, of their dependencies,
# the linux-* ones that hold an image, its modules, headers or build tools.
apt_linux_closure()
{
	local -a todo=("$@")
	local -A seen=()
	local pkg deps dep

	while [ ${#todo[@]} -gt 0 ]; do
		pkg=${todo[0]}
		todo=("${todo[@]:1}")
		[ -z "${seen[$pkg]:-}" ] || continue
		seen[$pkg]=1
		deps=$(apt-cache "${FFG_APT[@]}" show --no-all-versions "$pkg" 2>/dev/null |
			sed -n 's/^Depends: //p')
		[ -n "$deps" ] || case $pkg in
		*-common | linux-base-*) ;;
		linux-*-[0-9]*) ;;
		linux-*) die "the package $pkg is in none of the suites" ;;
		esac
		printf '%s\n' "$pkg"
		# Of alternatives the first is what Debian builds with.
		while read -r dep; do
			case $dep in
			linux-image-* | linux-headers-* | linux-kbuild-* | \
				linux-modules-* | linux-binary-*)
				todo+=("$dep")
				;;
			esac
		done < <(tr ',' '\n' <<<"$deps" | awk '{ print $1 }')
	done
}
