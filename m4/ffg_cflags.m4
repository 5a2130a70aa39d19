dnl SPDX-License-Identifier: GPL-2.0-only
dnl FFG_CHECK_CFLAG(VARIABLE, FLAG): append FLAG to VARIABLE if the compiler
dnl takes it. An unknown -Wno-x passes silently, so do not probe those.
AC_DEFUN([FFG_CHECK_CFLAG], [
  AS_VAR_PUSHDEF([ffg_var], [ffg_cv_cflag_$2])
  AC_CACHE_CHECK([whether $CC takes $2], [ffg_var], [
    ffg_save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -Werror $2"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM()], [AS_VAR_SET([ffg_var], [yes])],
      [AS_VAR_SET([ffg_var], [no])])
    CFLAGS=$ffg_save_CFLAGS
  ])
  AS_VAR_IF([ffg_var], [yes], [$1="$$1 $2"])
  AS_VAR_POPDEF([ffg_var])
])
