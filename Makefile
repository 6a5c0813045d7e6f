# assay -- `make help` lists the targets.  Needs GNU make 4, gcc or clang, pkg-config.
#
# A newcomer needs two: `make demo` and `make test`.  Each installs what is missing, builds, runs.

BUILD   ?= release
O       := build/$(BUILD)
PREFIX  ?= /usr/local
DESTDIR ?=

# Libraries: what pkg-config calls them, and the Debian package.
LIBRARIES     := libcurl:libcurl4-openssl-dev libcjson:libcjson-dev sqlite3:libsqlite3-dev \
                 libpcre2-8:libpcre2-dev zlib:zlib1g-dev libcrypto:libssl-dev \
                 libutf8proc:libutf8proc-dev
TEST_LIBRARY  := cunit:libcunit1-dev
name_of        = $(foreach l,$(1),$(firstword $(subst :, ,$(l))))
package_of     = $(foreach l,$(1),$(lastword $(subst :, ,$(l))))
LIBS          := $(call name_of,$(LIBRARIES))
TEST_LIBS     := $(call name_of,$(TEST_LIBRARY))
PACKAGES      := gcc make pkg-config $(call package_of,$(LIBRARIES) $(TEST_LIBRARY)) sqlite3 \
                 bubblewrap python3

# What this call of make will compile with; `demo` and `test` install what is missing first.
GOALS   := $(filter-out demo test deps asan tsan layers format clean help,$(or $(MAKECMDGOALS),all))
NEEDED  := $(if $(GOALS),$(LIBRARIES)) $(if $(filter check %/tests/unit/%,$(GOALS)),$(TEST_LIBRARY))
NEEDED  := $(if $(filter cross,$(BUILD)),,$(strip $(NEEDED)))
lacks    = $(if $(shell pkg-config --exists $(call name_of,$(1)) && echo 1),,$(1))
ifneq ($(NEEDED),)
ifeq ($(shell pkg-config --version 2>/dev/null),)
$(error pkg-config is missing (Debian package pkg-config): `make deps` installs it)
endif
MISSING := $(strip $(foreach l,$(NEEDED),$(call lacks,$(l))))
ifneq ($(MISSING),)
$(error missing: $(call name_of,$(MISSING)) (Debian: $(call package_of,$(MISSING))): `make deps` installs what is missing)
endif
endif

WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wdouble-promotion -Wundef \
           -Wwrite-strings -Wcast-qual -Wpointer-arith -Wstrict-prototypes \
           -Wmissing-prototypes -Wformat=2 -Wvla
# No -ffast-math: it deletes NaN checks and lets results change with the compiler.
NUMERIC := -ffp-contract=off -fno-math-errno
MODE_release := -O3 -g
MODE_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
MODE_tsan    := -O1 -g -fsanitize=thread
MODE_cov     := -O0 -g --coverage
MODE_cross   := -O3 -ffunction-sections -DEMULATED
MODE    := $(or $(MODE_$(BUILD)),$(error unknown BUILD=$(BUILD): release asan tsan cov cross))
CFLAGS  ?=
ALL_CFLAGS = -std=c11 -D_POSIX_C_SOURCE=200809L -I. $(WARN) $(NUMERIC) $(MODE) -fopenmp -MMD -MP \
             $(LIB_CFLAGS) $(CFLAGS)
LIB_CFLAGS := $(if $(NEEDED),$(shell pkg-config --cflags $(LIBS)))
ALL_LDLIBS = $(shell pkg-config --libs $(LIBS)) -lm $(LDLIBS)

LIB_SRC := $(wildcard engine/*.c engine/*/*.c classifiers/*.c datasets/*.c reports/*.c \
                      benchmarks/*.c benchmarks/tasks/*.c)
CLI_SRC := $(wildcard benchmarks/cli/*.c)
LIB_OBJ := $(LIB_SRC:%.c=$(O)/%.o)
CLI_OBJ := $(CLI_SRC:%.c=$(O)/%.o)
# Data files that the program carries inside it; see the rule for %.embedded.c.
EMBED   := $(wildcard reports/*.sql classifiers/lexicons/*.json classifiers/policies/*.json classifiers/models/*.bin classifiers/guards/*.json \
                      datasets/manifests/*.json reports/published/*.json benchmarks/*.py benchmarks/tasks/*.json)
LIB_OBJ += $(EMBED:%=$(O)/%.embedded.o)
TESTS   := $(patsubst %.c,$(O)/%,$(wildcard tests/unit/test_*.c))
SUPPORT_OBJ := $(patsubst %.c,$(O)/%.o,$(wildcard tests/support/*.c))
COMMIT  := $(shell git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)

.PHONY: all deps demo test check asan tsan layers format install clean help
.DEFAULT_GOAL := all

all: $(O)/assay                   ## build the program at build/release/assay

demo: deps                        ## install what is missing, build, run every task on the demo model
	@$(MAKE) --no-print-directory all
	@sh tests/demo.sh $(O)/assay

test: deps                        ## install what is missing, build, run all tests
	@$(MAKE) --no-print-directory check

check: $(O)/assay $(O)/tests/make_model $(O)/tests/make_faulty $(TESTS) layers ## run all tests with what is installed
	@sh tests/run_all.sh $(O)

asan:                             ## all tests under AddressSanitizer and UBSan
	@$(MAKE) --no-print-directory BUILD=asan check

# gcc's libgomp is not instrumented and makes correct parallel loops look like races.
tsan:                             ## unit tests under ThreadSanitizer (needs clang and libomp-dev)
	@TSAN_OPTIONS=ignore_noninstrumented_modules=1:die_after_fork=0 $(MAKE) --no-print-directory CC=clang BUILD=tsan check

layers:                           ## fail if a module includes one above it
	@sh tests/check_layers.sh

format:                           ## lay out all C files with clang-format
	@clang-format -i $(LIB_SRC) $(CLI_SRC) $(wildcard tests/*.c tests/*/*.[ch] engine/*.h engine/*/*.h \
	    classifiers/*.h datasets/*.h reports/*.h benchmarks/*.h benchmarks/*/*.h)

deps:                             ## install the Debian packages that are missing
	@sh tests/install_packages.sh $(PACKAGES)

install: all                      ## install under PREFIX (default /usr/local), honouring DESTDIR
	install -D -m 755 $(O)/assay $(DESTDIR)$(PREFIX)/bin/assay
	for f in $$(cd datasets/demo && find . -type f ! -name '*.py'); do \
	    install -D -m 644 datasets/demo/$$f $(DESTDIR)$(PREFIX)/share/assay/demo/$$f; done

help:                             ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  \1\t/p' Makefile | expand -t 12

clean:                            ## remove build/
	rm -rf build

$(O)/assay: $(CLI_OBJ) $(O)/libassay.a
	$(CC) $(MODE) -fopenmp -o $@ $^ $(LDFLAGS) $(ALL_LDLIBS)

$(O)/libassay.a: $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$(O)/tests/unit/%: tests/unit/%.c $(SUPPORT_OBJ) $(O)/libassay.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -o $@ $< $(SUPPORT_OBJ) $(O)/libassay.a $(LDFLAGS) $(shell pkg-config --libs $(TEST_LIBS)) $(ALL_LDLIBS)

# These tests count allocations: of a forward pass, and of a session.
$(O)/tests/unit/test_engine $(O)/tests/unit/test_families $(O)/tests/unit/test_inspect $(O)/tests/unit/test_scheduler $(O)/tests/unit/test_sampler: LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc

# Kernel tests for another machine, without the libraries: tests/cli/other_machines.sh runs them in
# an emulator.
CROSS_OBJ := $(patsubst %.c,$(O)/%.o,$(wildcard engine/kernels/*.c engine/quants/*.c) \
               engine/base/status.c engine/base/rng.c engine/base/large_memory.c)
$(O)/tests/cross/%: tests/unit/%.c tests/cross/CUnit/Basic.h $(CROSS_OBJ)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itests/cross -static -Wl,--gc-sections -o $@ $< $(CROSS_OBJ) -lm

# Tools for tests: a model of random weights at any shape; a file that is wrong in one way.
TOOLS := $(O)/tests/make_model $(O)/tests/make_faulty
$(TOOLS): %: %.o $(SUPPORT_OBJ) $(O)/libassay.a
	$(CC) $(MODE) -fopenmp -o $@ $^ $(LDFLAGS) $(ALL_LDLIBS)

# The only places where an instruction set is named; everything else is portable C.  A set's files
# are empty on other machines.
MACHINE := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
ifeq ($(MACHINE),x86_64)
$(O)/engine/kernels/kernels_avx2.o $(O)/engine/kernels/kernels_avx2_packed.o: ISA := -mavx2 -mfma -mf16c
AVX512 := kernels_avx512 kernels_avx512_bf16 kernels_avx512_int8 kernels_avx512_stream
$(AVX512:%=$(O)/engine/kernels/%.o): ISA := -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq \
    -mavx512vl -mavx512vnni -mavx512bf16 -mprefer-vector-width=512
else ifeq ($(MACHINE),aarch64)
$(O)/engine/kernels/kernels_neon.o $(O)/engine/kernels/kernels_neon_packed.o: ISA := -march=armv8.2-a+dotprod
endif

# The commit is part of every stored run, so its file follows the commit.
$(O)/benchmarks/version.o: ISA := -DASSAY_COMMIT='"$(COMMIT)"' -DASSAY_BUILD_FLAGS='"$(MODE) $(NUMERIC) $(CFLAGS)"'
$(O)/benchmarks/version.o: $(O)/commit
$(O)/commit: always
	@mkdir -p $(@D)
	@echo '$(COMMIT)' | cmp -s - $@ || echo '$(COMMIT)' > $@
.PHONY: always

# DIR/NAME.EXT becomes `const struct text embedded_DIR_NAME_EXT` (engine/base/text.h); whoever uses
# it declares it extern.  A NUL that is not counted follows the bytes.
$(O)/%.embedded.c: % Makefile
	@mkdir -p $(@D)
	@{ echo '#include "engine/base/text.h"'; \
	   echo 'static const unsigned char bytes[] = {'; \
	   od -An -v -tu1 $< | sed 's/[0-9][0-9]*/&,/g'; \
	   echo '0};'; \
	   echo 'const struct text embedded_$(subst -,_,$(subst .,_,$(subst /,_,$*))) ='; \
	   echo '    {(const char *)bytes, sizeof bytes - 1};'; } > $@
.PRECIOUS: $(O)/%.embedded.c

$(O)/%.embedded.o: $(O)/%.embedded.c
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(ISA) -c -o $@ $<

-include $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(TESTS:=.d) $(SUPPORT_OBJ:.o=.d) $(TOOLS:=.d)
