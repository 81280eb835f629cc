# SPDX-License-Identifier: MIT
#
# hvbus. `make help` lists what to type.
#
#   SAN=address,undefined | SAN=thread   instrumented build in its own folder
#   CC=clang                             another compiler
#   V=1                                  show the commands

CC      ?= gcc
CLANG   ?= clang
PREFIX  ?= /usr/local
DESTDIR ?=
VERSION := 0.1.0

comma   := ,
VARIANT := $(if $(SAN),san-$(subst $(comma),-,$(SAN)),$(if $(filter clang%,$(notdir $(CC))),clang,release))
B       := build/$(VARIANT)
Q       := $(if $(V),,@)
say      = $(if $(V),,@printf '  %-8s %s\n' '$(1)' '$(2)')

WARN    := -Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wshadow -Werror
# Some x86 cores do not cache decoded code around jumps that cross 32 bytes: 20 % of a ring message.
ALIGN_JUMPS := $(if $(filter x86_64,$(shell uname -m)),$(if $(filter clang%,$(notdir $(CC))),,-Wa$(comma)-mbranches-within-32B-boundaries))
# gcc copies and clears structs of 40 to 500 bytes with "rep movs", which takes longer to start than to run.
NO_REP  := $(if $(filter x86_64,$(shell uname -m)),$(if $(filter clang%,$(notdir $(CC))),,\
	$(foreach f,memcpy memset,-m$(f)-strategy=unrolled_loop:256:noalign$(comma)libcall:-1:noalign)))
OPT     := $(if $(SAN),-O1 -fno-omit-frame-pointer,-O2 $(ALIGN_JUMPS) $(NO_REP))
# Of an instrumented build people read reports, for which line numbers are enough.
CFLAGS  ?= $(if $(SAN),-g1,-g)
ALL_CFLAGS = -std=gnu11 $(OPT) $(WARN) -fPIC -fvisibility=hidden -pthread -D_GNU_SOURCE \
	-DHVBUS_VERSION='"$(VERSION)"' -I. $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all) $(CFLAGS)
ALL_LDFLAGS = -pthread $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)
# For the NAT's process; programs without one do not load it.
SLIRP   := -Wl,--push-state,--as-needed -lslirp -Wl,--pop-state
LIBS    := -luring -laio -ljansson -lseccomp -lz -lm $(SLIRP)

# ---- what there is: one archive per layer, each may use those before it ------

LAYERS  := base ringbuf hv-core vmbus vsp vsc vmwp
SRC_base    := $(wildcard base/*.c base/*/*.c)
SRC_ringbuf := $(wildcard ringbuf/*.c)
SRC_hv-core := $(wildcard hv-core/*.c hv-core/*/*.c)
SRC_vmbus   := $(wildcard vmbus/*.c)
SRC_vsp     := $(wildcard vsp/*/*.c vsp/*/*/*.c)
SRC_vsc     := $(wildcard vsc/*.c)
SRC_vmwp    := $(wildcard vmwp/*.c)
SRC_cli     := $(wildcard cli/*.c)
SRC_all     := $(foreach l,$(LAYERS) cli,$(SRC_$(l)))

obj      = $(patsubst %.c,$(B)/%.o,$(1))
lib      = $(B)/lib/$(1).a
# The layers from $(1) down, the order the linker wants.
upto_base    := base
upto_ringbuf := ringbuf base
upto_hv-core := hv-core ringbuf base
upto_vmbus   := vmbus hv-core ringbuf base
upto_vsp     := vsp vmbus hv-core ringbuf base
upto_vsc     := vsc vmbus hv-core ringbuf base
upto_vmwp    := vmwp vsp vsc vmbus hv-core ringbuf base
libs_upto = $(foreach l,$(upto_$(1)),$(call lib,$(l)))

UT      := $(wildcard tests/ut/*/*_ut.c)
UT_BIN  := $(patsubst tests/ut/%.c,$(B)/ut/%,$(UT))
PROC    := $(wildcard tests/proc/*_test.c)
PROC_BIN := $(patsubst tests/proc/%.c,$(B)/proc/%,$(PROC))
HOSTILE := $(wildcard tests/hostile/*_hostile.c)
HOSTILE_BIN := $(patsubst tests/hostile/%.c,$(B)/hostile/%,$(HOSTILE))
SOAK_BIN := $(B)/soak/soak_test
NET_SOAK_BIN := $(B)/soak/net_soak
FAKE    := $(wildcard tests/fake/*.c)
BENCH   := $(wildcard bench/*.c)
BENCH_BIN := $(patsubst bench/%.c,$(B)/bench/%,$(BENCH))
PEERS   := $(wildcard bench/peers/*.c bench/peers/*.cc)
FUZZ    := $(patsubst fuzz/fuzz_%.c,%,$(wildcard fuzz/fuzz_*.c))

.PHONY: all demo check kill soak net-soak bench fuzz fuzz-bins fuzz-coverage lint install uninstall clean help setup \
	check-spin check-kvm check-kvm-long check-tests bench-bins peers fuzz-replay seeds
.DELETE_ON_ERROR:
.SECONDARY:

all: build/hvbus $(B)/libhvbus.a $(B)/nbdkit-hvbus-plugin.so $(B)/libhvbus-sg.so

help:
	@echo 'hvbus $(VERSION): Hyper-V synthetic I/O, open, in C, on Linux'
	@echo
	@echo '  make demo        install what is missing, build, run the story (40 s)'
	@echo '  make check       install what is missing, build, run every test (three builds)'
	@echo '  make             build/hvbus, libhvbus.a, the nbdkit plugin, libhvbus-sg.so'
	@echo '  make kill        500 kill -9 in the middle of verified writes, of every party; ROUNDS=N'
	@echo '  make soak        20 minutes of load, hot plug, hostile guests and kill -9; TIME=SECONDS'
	@echo '  make net-soak    2 minutes of 8 guests on a switch, one of them hostile or killed; TIME=SECONDS'
	@echo '  make check-kvm   stock Linux kernels as guests; make check-kvm-long: every variant; CASES=boot'
	@echo '  make bench       measure every row of docs/performance.md beside its peer'
	@echo '  make fuzz        each fuzz target for 30 s; make fuzz T=ring TIME=600 for one'
	@echo '  make fuzz-coverage  lines that the corpora reach, per component; TIME=60 fuzzes first'
	@echo '  make lint        formatting, include directions, shell, man page'
	@echo '  make install     to $$(DESTDIR)$$(PREFIX), now $(DESTDIR)$(PREFIX); make uninstall takes it away'
	@echo '  make clean       remove build/'
	@echo
	@echo '  SAN=address,undefined or SAN=thread, CC=clang, V=1'

setup:
	$(Q)scripts/setup.sh $(SETUP_FOR)

# ---- rules ------------------------------------------------------------------------

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/tests/%.o: ALL_CFLAGS += -include tests/mark_once.h
# Compiling tests, with all that is checked in them, is more work than running most of them.
# (Unoptimised, gcc thinks of lengths that the checks before have ruled out.)
$(B)/tests/%.o: OPT := $(if $(findstring thread,$(SAN)),-O1,-O0) -fno-omit-frame-pointer $(if $(filter clang%,$(notdir $(CC))),,-Wno-stringop-overread)

define layer_archive
$(call lib,$(1)): $(call obj,$(SRC_$(1)))
	@mkdir -p $$(@D)
	$$(Q)rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call layer_archive,$(l))))

$(B)/libhvbus.a: $(call obj,$(foreach l,$(LAYERS),$(SRC_$(l))))
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/hvbus: $(call obj,$(SRC_cli)) $(call libs_upto,vmwp)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

build/hvbus: $(B)/hvbus
	$(Q)ln -sfn $(VARIANT)/hvbus $@

$(B)/nbdkit-hvbus-plugin.so: $(B)/cli/nbd/plugin.o $(call libs_upto,vsc)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -shared -o $@ $^ -luring

# Loaded into other people's programs: nothing of it may be visible but what it stands in for.
$(B)/libhvbus-sg.so: $(call obj,$(wildcard cli/sg/*.c)) $(call libs_upto,vsc)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -shared -Wl,--exclude-libs,ALL -o $@ $^

# A unit test links its own layer and those below; tests/fake/ stands in for what is above or
# beside (the fakes come first, so the archive member they replace is never pulled in).
define ut_rule
$(B)/ut/$(1)/%: $(B)/tests/ut/$(1)/%.o $$(call obj,$(FAKE_$(1))) $$(call libs_upto,$(1))
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ $$(LIBS) -lcheck -lsubunit -lrt -lm
endef
FAKE_vsp := $(wildcard tests/fake/fake_bus.c tests/fake/mock_stor_guest.c tests/fake/mock_net_guest.c)
FAKE_vmbus := $(wildcard tests/fake/fake_partition.c tests/fake/evil_root.c)
FAKE_vsc := $(wildcard tests/fake/fake_child.c tests/fake/evil_root.c)
$(foreach l,$(LAYERS),$(eval $(call ut_rule,$(l))))

# Every layer but the loops, whose turns the test chooses; it sees where threads meet.
SCHED_WRAP := -Wl,--wrap=pthread_mutex_lock,--wrap=pthread_mutex_unlock
$(B)/ut/vsp/storvsp_sched_ut: $(B)/tests/ut/vsp/storvsp_sched_ut.o \
		$(call obj,tests/fake/sched_loop.c tests/fake/fake_partition.c) $(call libs_upto,vsp)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $(SCHED_WRAP) -o $@ $^ $(LIBS) -lcheck -lsubunit -lrt -lm

$(B)/proc/%: $(B)/tests/proc/%.o $(call libs_upto,vmwp)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) -lcheck -lsubunit -lrt -lm -lnbd

HOSTILE_HELP := $(filter-out $(HOSTILE),$(wildcard tests/hostile/*.c))
$(B)/hostile/%: $(B)/tests/hostile/%.o $(call obj,$(HOSTILE_HELP)) $(call libs_upto,vmwp)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) -lcheck -lsubunit -lrt -lm

# The fixture and the guest without manners, under load for as long as one likes.
$(NET_SOAK_BIN): $(call obj,tests/soak/net_soak.c $(HOSTILE_HELP)) $(call libs_upto,vmwp)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) -lcheck -lsubunit -lrt -lm

$(SOAK_BIN): $(call obj,$(filter-out tests/soak/net_soak.c,$(wildcard tests/soak/*.c)) $(HOSTILE_HELP)) $(call libs_upto,vmwp)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) -lcheck -lsubunit -lrt -lm -lnbd

# Here the client is under test, and the root is the fake.
$(B)/hostile/root_hostile: $(B)/tests/hostile/root_hostile.o $(call obj,tests/fake/evil_root.c) \
		$(call libs_upto,vsc)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) -lcheck -lsubunit -lrt -lm

$(B)/bench/%: $(B)/bench/%.o $(call libs_upto,vmwp)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# ---- what people type ------------------------------------------------------------------

demo: SETUP_FOR := demo
demo: setup
	$(Q)$(MAKE) --no-print-directory all
	$(Q)build/hvbus demo

check: SETUP_FOR := check
check: setup
	$(Q)scripts/check.sh

# One build variant: everything it needs, then its tests.
check-tests: $(UT_BIN) $(PROC_BIN) $(HOSTILE_BIN) $(SOAK_BIN) $(NET_SOAK_BIN) $(B)/hvbus $(B)/nbdkit-hvbus-plugin.so \
	$(B)/libhvbus-sg.so $(B)/tests/run_sh

$(B)/tests/run_sh: $(B)/tests/run_sh.o
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcheck -lsubunit -lrt -lm

kill: SETUP_FOR := check
kill: setup
	$(Q)$(MAKE) --no-print-directory all $(B)/proc/kill_test
	$(Q)KILL_ROUNDS=$(or $(ROUNDS),500) $(B)/proc/kill_test

soak: SETUP_FOR := check
soak: setup
	$(Q)$(MAKE) --no-print-directory all $(B)/soak/soak_test
	$(Q)SOAK_SECONDS=$(or $(TIME),1200) $(B)/soak/soak_test

net-soak: SETUP_FOR := check
net-soak: setup
	$(Q)$(MAKE) --no-print-directory $(NET_SOAK_BIN)
	$(Q)NET_SOAK_SECONDS=$(or $(TIME),120) $(NET_SOAK_BIN)

check-spin:
	$(Q)tests/spin/run.sh

check-kvm check-kvm-long: SETUP_FOR := kvm
check-kvm check-kvm-long: setup
	$(Q)$(MAKE) --no-print-directory all
	$(Q)for b in $$(tests/kvm/run.sh --builds $(if $(findstring long,$@),--long) $(CASES)); do \
		case $$b in san-*) $(MAKE) --no-print-directory SAN=$$(echo $${b#san-} | tr - ,) build/$$b/hvbus || exit ;; esac; done
	$(Q)tests/kvm/run.sh $(if $(findstring long,$@),--long) $(CASES)

bench: SETUP_FOR := bench
bench: setup
	$(Q)$(MAKE) --no-print-directory all bench-bins peers
	$(Q)bench/run.sh $(ROWS)

bench-bins: $(BENCH_BIN)
peers:
	$(Q)$(MAKE) --no-print-directory -C bench/peers B=$(CURDIR)/build/peers

# ---- fuzzing: clang's libFuzzer; any compiler replays ---------------------------------------

# COVERAGE=1 counts lines instead of looking for errors.
FUZZ_INSTR := $(if $(COVERAGE),-fprofile-instr-generate -fcoverage-mapping,-fsanitize=address$(comma)undefined)
F := build/fuzz$(if $(COVERAGE),-coverage)
FUZZ_CFLAGS = -std=gnu11 -O1 -g -fno-omit-frame-pointer -D_GNU_SOURCE -DHVBUS_VERSION='"$(VERSION)"' \
	-I. -pthread -Wall -Werror -Wno-unused-command-line-argument
FUZZ_LIBSRC = $(foreach l,$(LAYERS),$(SRC_$(l)))
# Calls that a target answers itself, so that it has no thread and no name in the file system.
FUZZ_WRAP_handshake := connect pthread_create pthread_join
FUZZ_WRAP_control := bind pthread_create
fuzz_wrap = $(patsubst %,-Wl$(comma)--wrap=%,$(FUZZ_WRAP_$(1)))

$(F)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,FUZZCC,$<)
	$(Q)$(CLANG) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link $(FUZZ_INSTR) -fno-sanitize-recover=all -MMD -MP -c -o $@ $<

$(F)/lib.a: $(patsubst %.c,$(F)/%.o,$(FUZZ_LIBSRC))
	$(Q)rm -f $@ && ar rcs $@ $^

# In an archive of its own, so that only the target that drives the fake bus gets it.
FUZZ_FAKES := $(wildcard tests/fake/fake_bus.c)
$(F)/fakes.a: $(patsubst %.c,$(F)/%.o,$(FUZZ_FAKES))
	$(Q)rm -f $@ && ar rcs $@ $^

$(F)/bin/%: $(F)/fuzz/fuzz_%.o $(F)/fakes.a $(F)/lib.a
	@mkdir -p $(@D)
	$(call say,FUZZLD,$@)
	$(Q)$(CLANG) -fsanitize=fuzzer $(FUZZ_INSTR) -pthread $(call fuzz_wrap,$*) -o $@ $^ $(LIBS)

fuzz: SETUP_FOR := fuzz
fuzz: setup
	$(Q)$(MAKE) --no-print-directory fuzz-bins
	$(Q)scripts/fuzz.sh $(F)/bin $(or $(TIME),30) $(or $(T),$(FUZZ))

fuzz-bins: $(patsubst %,$(F)/bin/%,$(or $(T),$(FUZZ)))

fuzz-coverage: SETUP_FOR := fuzz
fuzz-coverage: setup
	$(Q)$(MAKE) --no-print-directory COVERAGE=1 fuzz-bins
	$(Q)scripts/fuzz-coverage.sh build/fuzz-coverage/bin $(or $(TIME),0) $(or $(T),$(FUZZ))

# Every corpus file once, through the target built with the ordinary compiler.
$(B)/lib/fakes.a: $(call obj,$(FUZZ_FAKES))
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/replay/%: $(B)/fuzz/fuzz_%.o $(B)/fuzz/replay.o $(B)/lib/fakes.a $(call libs_upto,vmwp)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $(call fuzz_wrap,$*) -o $@ $^ $(LIBS)

# Seeds recorded from a real exchange between a root and a child.
$(B)/record: $(B)/fuzz/record.o $(call libs_upto,vmwp)
	$(Q)$(CC) $(ALL_LDFLAGS) -Wl,--wrap=vmbus_sm_message,--wrap=vmbus_chan_recv -o $@ $^ $(LIBS)

seeds: $(B)/record
	$(Q)$(B)/record fuzz/corpus

fuzz-replay: $(patsubst %,$(B)/replay/%,$(FUZZ))

lint: SETUP_FOR := lint
lint: setup
	$(Q)tests/lint/run.sh

# ---- install ---------------------------------------------------------------------------------

BINDIR := $(DESTDIR)$(PREFIX)/bin
LIBDIR := $(DESTDIR)$(PREFIX)/lib
INCDIR := $(DESTDIR)$(PREFIX)/include/hvbus
MANDIR := $(DESTDIR)$(PREFIX)/share/man/man1
PLUGINDIR := $(LIBDIR)/nbdkit/plugins
SGDIR := $(LIBDIR)/hvbus
PUBLIC_H := $(wildcard base/*.h base/*/*.h ringbuf/*.h hv-core/*.h hv-core/proc/*.h vmbus/*.h vmbus/wire/*.h vsc/*.h)

install: all
	install -d $(BINDIR) $(LIBDIR)/pkgconfig $(MANDIR) $(PLUGINDIR) $(SGDIR)
	install -m 755 $(B)/hvbus $(BINDIR)/hvbus
	install -m 644 $(B)/libhvbus.a $(LIBDIR)/libhvbus.a
	install -m 755 $(B)/nbdkit-hvbus-plugin.so $(PLUGINDIR)/nbdkit-hvbus-plugin.so
	install -m 755 $(B)/libhvbus-sg.so $(SGDIR)/libhvbus-sg.so
	for h in $(PUBLIC_H); do install -D -m 644 $$h $(INCDIR)/$$h; done
	sed 's,@PREFIX@,$(PREFIX),; s,@VERSION@,$(VERSION),' hvbus.pc.in > $(LIBDIR)/pkgconfig/hvbus.pc
	install -m 644 docs/hvbus.1 $(MANDIR)/hvbus.1

uninstall:
	rm -f $(BINDIR)/hvbus $(LIBDIR)/libhvbus.a $(LIBDIR)/pkgconfig/hvbus.pc $(MANDIR)/hvbus.1 \
		$(PLUGINDIR)/nbdkit-hvbus-plugin.so $(SGDIR)/libhvbus-sg.so
	rm -rf $(INCDIR)

clean:
	rm -rf build

-include $(shell [ -d build ] && find build -name '*.d')
