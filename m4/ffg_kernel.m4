dnl SPDX-License-Identifier: GPL-2.0-only
dnl FFG_KERNEL: find the kernel tree that plain "make" builds the module for
dnl (KDIR), and the kernels of the test matrix (KERNELS).
AC_DEFUN([FFG_KERNEL], [
  AC_ARG_WITH([linux], [AS_HELP_STRING([--with-linux=KDIR],
    [kernel headers or build tree for the module; "no" builds none
     @<:@/lib/modules/RUNNING/build, else the newest one there@:>@])],
    [], [with_linux=auto])
  AC_ARG_WITH([kernels], [AS_HELP_STRING([--with-kernels="NAME ..."],
    [kernels of the VM suites @<:@6.1 6.12 7.x@:>@])],
    [], [with_kernels="6.1 6.12 7.x"])

  AC_MSG_CHECKING([for a kernel tree])
  KDIR=
  AS_CASE([$with_linux],
    [no], [],
    [auto|yes], [
      KDIR=/lib/modules/`uname -r`/build
      AS_IF([test ! -e "$KDIR/Makefile"], [
        KDIR=
        for ffg_dir in `ls -d /lib/modules/*/build 2>/dev/null | sort -V`; do
          AS_IF([test -e "$ffg_dir/Makefile"], [KDIR=$ffg_dir])
        done])],
    [KDIR=$with_linux
     AS_IF([test ! -e "$KDIR/Makefile"],
       [AC_MSG_ERROR([--with-linux=$KDIR holds no kernel tree])])])
  AC_MSG_RESULT([${KDIR:-none}])

  AS_IF([test -n "$KDIR"], [
    AC_MSG_CHECKING([whether that kernel can have protection keys])
    ffg_config=
    for ffg_file in "$KDIR/include/config/auto.conf" "$KDIR/.config"; do
      AS_IF([test -z "$ffg_config" && test -r "$ffg_file"],
        [ffg_config=$ffg_file])
    done
    AS_IF([test -z "$ffg_config"], [AC_MSG_RESULT([unknown, no configuration])],
      [grep -q '^CONFIG_X86_INTEL_MEMORY_PROTECTION_KEYS=y' "$ffg_config"],
      [AC_MSG_RESULT([yes])],
      [AC_MSG_RESULT([no])
       AC_MSG_ERROR([$KDIR lacks CONFIG_X86_INTEL_MEMORY_PROTECTION_KEYS])])
  ], [test "x$with_linux" != xno], [
    AC_MSG_WARN([no kernel tree: "make" builds no module for this machine; install linux-headers-amd64 or give --with-linux=KDIR])
  ])
  KERNELS=$with_kernels
  AC_SUBST([KDIR])
  AC_SUBST([KERNELS])
  AM_CONDITIONAL([HAVE_KDIR], [test -n "$KDIR"])
])
