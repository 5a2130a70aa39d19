# SPDX-License-Identifier: GPL-2.0-only
#
# Builds one suite; the working directory is the suite's folder, OUTPUT its
# build folder. Each NAME_test.c becomes a program; the folder's other .c and
# .S files are linked to every program, and of ../lib what it uses. A suite that needs
# more has a Makefile that sets CFLAGS, LDLIBS and so on, then includes this.

SELFTESTS := $(patsubst %/,%,$(dir $(realpath $(lastword $(MAKEFILE_LIST)))))
TOP := $(abspath $(SELFTESTS)/..)

TEST_GEN_PROGS := $(patsubst %.c,%,$(wildcard *_test.c))

CFLAGS += -O2 -g -std=gnu11 -Wall -Wextra -D_GNU_SOURCE
CFLAGS += -DFFG_FOREIGN_DIR='"$(abspath $(OUTPUT)/../foreign)"'
CFLAGS += -I$(TOP)/include -I$(TOP)/include/uapi -I$(SELFTESTS)/lib -isystem $(KSELFTEST)
# A new-style path: LD_LIBRARY_PATH comes before it, which check-mutants uses.
LDFLAGS += -L$(FFG_BUILD)/lib/.libs -Wl,--enable-new-dtags \
	-Wl,-rpath,$(FFG_BUILD)/lib/.libs:$(abspath $(OUTPUT)/../foreign)
SUITE_LIB = $(abspath $(OUTPUT)/../lib)/libsuite.a
LDLIBS += $(SUITE_LIB) -lffiguard -lpthread -ldl

# lib.mk leaves LOCAL_HDRS out of the compiler's command line, but rebuilds
# when one of them changes.
LOCAL_HDRS += $(wildcard *.h $(SELFTESTS)/lib/*.h $(TOP)/include/*.h \
	$(TOP)/include/uapi/linux/*.h) $(FFG_BUILD)/lib/.libs/libffiguard.so $(SUITE_LIB)

include $(KSELFTEST)/lib.mk

$(TEST_GEN_PROGS): $(filter-out %_test.c,$(wildcard *.c *.S))
