dnl SPDX-License-Identifier: GPL-2.0-only
dnl FFG_KSELFTEST: where lib.mk and kselftest_harness.h lie. Without
dnl --with-kselftest they are extracted from linux-source on first use.
AC_DEFUN([FFG_KSELFTEST], [
  AC_ARG_WITH([kselftest], [AS_HELP_STRING([--with-kselftest=DIR],
    [a tools/testing/selftests folder of Linux 6.1
     @<:@extracted from linux-source-6.1 into the cache@:>@])],
    [], [with_kselftest=no])
  AC_ARG_VAR([FFG_CACHE], [cache of kernels and of kernel sources' files
    @<:@$XDG_CACHE_HOME/ffiguard or ~/.cache/ffiguard@:>@])
  AS_IF([test -z "$FFG_CACHE"],
    [FFG_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/ffiguard])
  AS_CASE([$with_kselftest],
    [no|yes], [KSELFTEST=$FFG_CACHE/kselftest],
    [KSELFTEST=`cd "$with_kselftest" 2>/dev/null && pwd`
     AS_IF([test ! -e "$KSELFTEST/lib.mk"],
       [AC_MSG_ERROR([--with-kselftest=$with_kselftest holds no lib.mk])])])
  AC_SUBST([FFG_CACHE])
  AC_SUBST([KSELFTEST])
])
