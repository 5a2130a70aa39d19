dnl SPDX-License-Identifier: GPL-2.0-only
dnl FFG_REAL: the headers of the libraries that selftests/real runs. Without one its
dnl program is built as a skip, which "make check" in CI counts as a failure.
dnl REAL: in words, the Debian packages that would bring what is missing.
AC_DEFUN([FFG_REAL], [
  AC_ARG_VAR([RUSTC], [Rust compiler, for examples/rust])
  AC_PATH_PROG([RUSTC], [rustc])
  REAL=
  AS_IF([test -z "$RUSTC"], [REAL=" rustc"])
  ffg_save_CPPFLAGS=$CPPFLAGS
  CPPFLAGS="$CPPFLAGS `$PKG_CONFIG --silence-errors --cflags libxml-2.0`"
  FFG_REAL_HEADER([turbojpeg.h], [libturbojpeg0-dev])
  FFG_REAL_HEADER([jpeglib.h], [libjpeg62-turbo-dev])
  FFG_REAL_HEADER([webp/decode.h], [libwebp-dev])
  FFG_REAL_HEADER([snappy-c.h], [libsnappy-dev])
  FFG_REAL_HEADER([expat.h], [libexpat1-dev])
  FFG_REAL_HEADER([sqlite3.h], [libsqlite3-dev])
  FFG_REAL_HEADER([libxml/parser.h], [libxml2-dev])
  FFG_REAL_HEADER([harfbuzz/hb.h], [libharfbuzz-dev])
  FFG_REAL_HEADER([zstd.h], [libzstd-dev])
  FFG_REAL_HEADER([cblas.h], [libopenblas-pthread-dev])
  FFG_REAL_HEADER([png.h], [libpng-dev])
  CPPFLAGS=$ffg_save_CPPFLAGS
  AS_IF([test -n "$REAL"], [REAL="missing:$REAL"], [REAL="everything is there"])
])

AC_DEFUN([FFG_REAL_HEADER], [
  AC_MSG_CHECKING([for $1])
  AC_PREPROC_IFELSE([AC_LANG_SOURCE([[
#include <stdio.h>
#include <$1>
    ]])],
    [AC_MSG_RESULT([yes])],
    [AC_MSG_RESULT([no: install $2])
     REAL="$REAL $2"])
])
