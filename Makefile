# SPDX-License-Identifier: MIT
# mod_receipts: `make help` lists what can be made.

# 5.4, which Prosody has; 5.2, 5.3 or jit for Lua programs: their engine is build/lua5.2/receipts.so, and so on.
LUA_VERSION ?= 5.4
LUA_ABI = $(LUA_VERSION:jit=5.1)
OUT = $(if $(filter-out 5.4,$(LUA_VERSION)),build/lua$(LUA_VERSION),build)
LUA ?= lua$(LUA_VERSION)
LUA_CFLAGS ?= $(shell pkg-config --cflags lua$(LUA_VERSION) 2>/dev/null || echo -I/usr/include/lua$(LUA_VERSION))
LUA_LIBS ?= $(shell pkg-config --libs lua$(LUA_VERSION) 2>/dev/null || echo -llua$(LUA_VERSION))
PREFIX ?= /usr/local
DESTDIR ?=

CFLAGS ?= -O2 -g
WARN = -Wall -Wextra -Wpedantic -Wconversion -Wshadow
ENGINE_CFLAGS = -std=c11 $(WARN) -fPIC -fvisibility=hidden -fno-plt $(CFLAGS)
SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

PENDING = mem siphash uuid slab lhash pending pending_table pending_find pending_walk pending_journal pending_check
CORE = $(PENDING) facts namespaces parser messages tags lines xml xml_handlers single
BINDING = lua_values lua_facts lua_parse lua_scanner lua_stanza lua_entries lua_pending receipts
HEADERS = $(wildcard csrc/*.h)
C_TESTS = $(patsubst csrc/test/%.c,%,$(wildcard csrc/test/test_*.c))

all: $(OUT)/receipts.so ## Build the engine (the default); LUA_VERSION=5.2, 5.3 or jit for those

# LuaJIT unloads libraries before the last finalizers have run, which may be ours.
build/luajit/receipts.so: LDFLAGS += -Wl,-z,nodelete

$(OUT)/receipts.so: $(CORE:%=$(OUT)/%.o) $(BINDING:%=$(OUT)/%.o)
	$(CC) -shared $(LDFLAGS) -o $@.new $^ -lexpat
	mv $@.new $@

$(OUT)/%.o: csrc/%.c $(HEADERS) | $(OUT)
	$(CC) $(ENGINE_CFLAGS) $(LUA_CFLAGS) -c -o $@ $<

# C tests, and an engine whose allocations can be made to fail: under build/test with sanitizers, under build/valgrind without; with
# LUA_VERSION, under build/luajit/test and so on. The engine stays in memory after its last use, so that a report knows its functions.
define instrumented
build/$(1)/%.o: csrc/%.c $(HEADERS) | build/$(1)
	$(CC) -std=c11 $(WARN) -O1 -g -fPIC $(2) $(LUA_CFLAGS) -DRCPT_MEM_TEST -c -o $$@ $$<

build/$(1)/faults.o: csrc/test/faults.c $(HEADERS) | build/$(1)
	$(CC) -std=c11 $(WARN) -O1 -g -fPIC $(2) $(LUA_CFLAGS) -DRCPT_MEM_TEST -Icsrc -c -o $$@ $$<

build/$(1)/receipts.so: $(CORE:%=build/$(1)/%.o) $(BINDING:%=build/$(1)/%.o) build/$(1)/faults.o
	$(CC) -shared $(2) -Wl,-z,nodelete -o $$@ $$^ -lexpat

build/$(1)/test_binding: csrc/test/test_binding.c $(CORE:%=build/$(1)/%.o) $(BINDING:%=build/$(1)/%.o)
	$(CC) -std=c11 $(WARN) -O1 -g $(2) $(LUA_CFLAGS) -DRCPT_MEM_TEST -Icsrc -o $$@ $$^ -lexpat -lcmocka $(LUA_LIBS)

build/$(1)/%: csrc/test/%.c $(CORE:%=build/$(1)/%.o) $(wildcard csrc/test/*.h)
	$(CC) -std=c11 $(WARN) -O1 -g $(2) -DRCPT_MEM_TEST -Icsrc -o $$@ $$(filter-out %.h,$$^) -lexpat -lcmocka
endef
$(eval $(call instrumented,$(patsubst /%,%/,$(OUT:build%=%))test,$(SANITIZE)))
$(eval $(call instrumented,$(patsubst /%,%/,$(OUT:build%=%))valgrind,))

$(sort $(OUT) build build/fuzz/engine $(OUT)/test $(OUT)/valgrind):
	mkdir -p $@

deps: ## Install the Debian packages and unpack the Prosody versions that tests and demo need
	scripts/deps

demo: deps all ## Exchange receipts on a throw-away Prosody and say what happened
	scripts/demo

test: deps all c-tests-build fuzz-build rock ## Run every spec and C test; the last line sums them up
	scripts/test

sanitize: deps all c-tests-build ## Run C tests, the engine's specs and a Prosody under AddressSanitizer and UBSan
	scripts/test --sanitize

valgrind: deps all valgrind-build ## The same under Valgrind: a few minutes
	scripts/test --valgrind

test-fast: deps all c-tests-build ## Run the C tests, and the specs that start no Prosody
	scripts/test --fast

c-tests-build: $(C_TESTS:%=$(OUT)/test/%) $(OUT)/test/receipts.so $(OUT)/valgrind/receipts.so

valgrind-build: $(C_TESTS:%=$(OUT)/valgrind/%) $(OUT)/valgrind/receipts.so

build/bench/memory_floor.so: csrc/siphash.c
build/bench/%.so: bench/%.c
	mkdir -p build/bench
	$(CC) -shared -fPIC -O2 $(WARN) $(LUA_CFLAGS) -Icsrc -o $@ $^ -lexpat

FUZZ_SECONDS ?= 60
FUZZ_TARGETS = parse scanner namespaces readers lint pending stanza store
FUZZ_SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_CC = clang -std=c11 $(WARN) -O1 -g $(FUZZ_SANITIZE) -fsanitize=fuzzer-no-link -fno-omit-frame-pointer -DRCPT_MEM_TEST $(LUA_CFLAGS)

build/fuzz/engine/%.o: csrc/%.c $(HEADERS) | build/fuzz/engine
	$(FUZZ_CC) -c -o $@ $<

build/fuzz/%.o: fuzz/%.c $(HEADERS) $(wildcard fuzz/*.h) | build/fuzz/engine
	$(FUZZ_CC) -Icsrc -c -o $@ $<

build/fuzz/parse build/fuzz/scanner build/fuzz/namespaces: build/fuzz/%: build/fuzz/%.o build/fuzz/facts_text.o
build/fuzz/pending: build/fuzz/pending.o build/fuzz/naive.o
build/fuzz/readers build/fuzz/lint build/fuzz/stanza build/fuzz/store: build/fuzz/script.o $(BINDING:%=build/fuzz/engine/%.o)
build/fuzz/readers build/fuzz/lint build/fuzz/stanza build/fuzz/store: FUZZ_LIBS = -llua$(LUA_VERSION)

$(FUZZ_TARGETS:%=build/fuzz/%): $(CORE:%=build/fuzz/engine/%.o)
	clang $(FUZZ_SANITIZE) -fsanitize=fuzzer -o $@ $^ -lexpat $(FUZZ_LIBS)

fuzz-build: $(FUZZ_TARGETS:%=build/fuzz/%)

fuzz: deps fuzz-build ## Give the engine random input, each target for FUZZ_SECONDS (60)
	scripts/fuzz $(FUZZ_SECONDS)

build/bench/pending_pause: bench/pending_pause.c $(PENDING:%=csrc/%.c) $(HEADERS)
	mkdir -p build/bench
	$(CC) -std=c11 $(WARN) -O2 -DRCPT_COUNT_TOUCHED -Icsrc -o $@ $(filter %.c,$^)

build/bench/bare_entries: bench/bare_entries.c
	mkdir -p build/bench
	$(CC) -std=c11 $(WARN) -O2 -o $@ $<

BENCHES = xml scan messages pending startup memory latency prosody_cpu
BENCH_BUILD = $(addprefix build/bench/,bare_expat.so bare_matcher.so memory_floor.so pending_pause bare_entries)
run_benches = status=0; for bench in $(BENCHES); do lua5.4 bench/$$bench.lua $(1) || status=1; done; exit $$status

bench: deps all $(BENCH_BUILD) ## Measure ours beside a peer, one line a figure; fails when a goal is missed
	@$(call run_benches,)

bench-quick: all $(BENCH_BUILD) ## The same in two minutes: fewer rounds, less load
	@$(call run_benches,quick)

coverage: deps ## Say which share of lines and branches the C tests and specs execute, and list the rest
	scripts/coverage

mutation: deps ## Invert each condition in turn and expect specs to fail; FILE=csrc/facts.c for those of one file
	scripts/mutate $(FILE)

attack: deps all ## Flood a server as attackers would, beside one without the module, and see what ordinary users notice
	ATTACK=long busted --lua=/usr/bin/lua5.4 spec/load/attack_spec.lua

SOAK_SECONDS ?= 600

soak: deps all ## Mixed traffic, sessions that come and go, and reloads, for SOAK_SECONDS (600); then a thousand reloads
	SOAK_SECONDS=$(SOAK_SECONDS) busted --lua=/usr/bin/lua5.4 spec/load/soak_spec.lua spec/load/reload_spec.lua

interop: all ## Specs with other people's clients, servers and modules; PART=clients for one; writes docs/interop.md
	scripts/deps interop
	scripts/test --interop $(PART)

lint: ## Compilers' warnings, static analysis, formatting, and the house's own rules
	scripts/lint

rules: deps all ## Bring the column of specs in docs/rules.md up to the specs' titles
	lua5.4 -e 'package.path = "./?.lua;"..package.path' scripts/rules.lua

format: ## Format the C sources in place
	clang-format -i csrc/*.[ch] csrc/test/*.[ch] fuzz/*.[ch]

rock: ## Make the source rock in build/rocks, which luarocks and prosodyctl can install
	scripts/rock build/rocks

install: all ## Copy module and engine under DESTDIR/PREFIX for a Prosody that has PREFIX/share/lua/5.4 in plugin_paths
	install -d $(DESTDIR)$(PREFIX)/share/lua/$(LUA_ABI)/mod_receipts $(DESTDIR)$(PREFIX)/lib/lua/$(LUA_ABI)
	install -m 644 mod_receipts/*.lua $(DESTDIR)$(PREFIX)/share/lua/$(LUA_ABI)/mod_receipts/
	install -m 755 $(OUT)/receipts.so $(DESTDIR)$(PREFIX)/lib/lua/$(LUA_ABI)/receipts.so.new
	mv $(DESTDIR)$(PREFIX)/lib/lua/$(LUA_ABI)/receipts.so.new $(DESTDIR)$(PREFIX)/lib/lua/$(LUA_ABI)/receipts.so

uninstall: ## Undo install
	rm -rf $(DESTDIR)$(PREFIX)/share/lua/$(LUA_ABI)/mod_receipts $(DESTDIR)$(PREFIX)/lib/lua/$(LUA_ABI)/receipts.so

clean: ## Remove what was built (not the unpacked Prosody versions: distclean)
	rm -rf build

distclean: clean ## Remove everything that make made
	rm -rf .deps

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r t d; do printf '  %-12s %s\n' "$$t" "$$d"; done

.PHONY: all deps demo test test-fast sanitize valgrind c-tests-build valgrind-build fuzz fuzz-build bench bench-quick attack soak coverage mutation interop lint rules format rock install uninstall clean distclean help
.SECONDARY:
.NOTPARALLEL:
