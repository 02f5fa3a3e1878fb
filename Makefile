# Every command of the project: `make help` prints them from the comments behind the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help

# npm runs under the machine's own Node; everything else under the Node that package-lock.json pins.
NPM := PATH='$(PATH)' npm
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

# Debian packages, named here only. libatomic1 is a library of Node 26 itself, binutils strips it for the agent, kmod makes
# the tables of the kernel modules in the initrd; the others go into the BOEL binaries (and busybox into the initrd); openssl makes certificates.
PRODUCT_PACKAGES := \
  libatomic1 binutils kmod tar zstd acl attr \
  busybox-static coreutils dosfstools e2fsprogs fdisk mount util-linux openssl \
  mdadm lvm2 xfsprogs kexec-tools \
  ipxe dnsmasq-base
DEMO_PACKAGES := mmdebstrap uidmap
TEST_PACKAGES := aria2 transmission-cli transmission-daemon opentracker mktorrent python3-libtorrent libarchive-tools git minisign \
  libcap2-bin iproute2 age chromium prometheus mandoc groff-base
BOOT_PACKAGES := qemu-system-x86 ovmf ipxe-qemu mmdebstrap libcap2-bin iproute2 \
  pxelinux syslinux-common grub-efi-amd64-bin grub-efi-amd64-signed
# lintian, systemd-analyze and a small Debian judge the package that debhelper makes.
PACKAGE_PACKAGES := debhelper lintian systemd man-db mmdebstrap iproute2
# What signs a network boot: docs/secureboot.md.
SECUREBOOT_PACKAGES := qemu-system-x86 ovmf libcap2-bin iproute2 openssl sbsigntool systemd-boot-efi efitools
BENCH_PACKAGES := aria2 rtorrent transmission-cli transmission-daemon python3-libtorrent rsync socat udpcast nftables iproute2 tcpdump

# $(call need,PACKAGES): installs what is missing when root, else says how.
define need
missing=''; \
for package in $(1); do \
  [[ "$$(dpkg-query -W -f='$${db:Status-Status}' "$$package" 2>/dev/null || true)" == installed ]] || missing+=" $$package"; \
done; \
if [[ -n "$$missing" && "$$(id -u)" -ne 0 ]]; then \
  printf 'Debian packages are missing. Run this, then try again:\n  sudo apt-get install --yes --no-install-recommends%s\n' "$$missing" >&2; \
  exit 1; \
elif [[ -n "$$missing" ]]; then \
  export DEBIAN_FRONTEND=noninteractive; \
  apt-get --quiet update || (sleep 20; apt-get --quiet update) || echo 'apt-get update failed; trying with the lists at hand' >&2; \
  apt-get --quiet -o DPkg::Lock::Timeout=600 install --yes --no-install-recommends $$missing; \
fi
endef

# Tests of a few seconds each, two at a time: two cores are what a small build machine has.
TESTS = $(shell find test -name '*.test.ts' -not -path 'test/bench/*' -not -path 'test/boot/*' -not -path 'test/lab/*' -not -path 'test/faults/*' -not -path 'test/package/*' | sort)
NODE_TEST := node --test --test-concurrency=2

AGENT_SOURCES = $(shell find agent -name '*.ts') scripts/build.ts scripts/icu.ts package-lock.json

.PHONY: help setup packages-setup packages-product packages-demo packages-test packages-boot packages-secureboot packages-package packages-bench \
  check types lint tidy test fuzz crashes sim sim-large boot-test secureboot-test agent manual demo picture boot-picture bench-engine bench-swarm bench-install bench-watch bench-crypt bench-trust figures lab lab-test faults faults-test \
  program man install uninstall deb deb-test sbom clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

setup: packages-setup node_modules/.package-lock.json ## install what the commands below need (npm packages; Debian packages, when root)

packages-setup:
	@$(call need,$(PRODUCT_PACKAGES) $(DEMO_PACKAGES) $(TEST_PACKAGES))
packages-product:
	@$(call need,$(PRODUCT_PACKAGES))
packages-demo:
	@$(call need,$(PRODUCT_PACKAGES) $(DEMO_PACKAGES))
packages-test:
	@$(call need,$(PRODUCT_PACKAGES) $(TEST_PACKAGES))
packages-boot:
	@$(call need,$(PRODUCT_PACKAGES) $(DEMO_PACKAGES) $(TEST_PACKAGES) $(BOOT_PACKAGES))
packages-secureboot:
	@$(call need,$(PRODUCT_PACKAGES) $(SECUREBOOT_PACKAGES))
packages-package:
	@$(call need,$(PRODUCT_PACKAGES) $(PACKAGE_PACKAGES))
packages-bench:
	@$(call need,$(PRODUCT_PACKAGES) $(BENCH_PACKAGES))

node_modules/.package-lock.json: package-lock.json | packages-product
	$(NPM) ci
	touch $@

check: types lint tidy ## types, lint, import rules, purity, tidiness: seconds

types: node_modules/.package-lock.json
	tsc -p .
	tsc -p scripts/page

lint: node_modules/.package-lock.json
	biome check --error-on-warnings .

tidy: node_modules/.package-lock.json
	$(NODE_TEST) test/tidy/*.test.ts

test: packages-test types lint ## check, and every test but benchmarks, the lab and boot-test: minutes
	$(NODE_TEST) $(TESTS)

# How long, which parser alone, by which chance (else 1 and a fresh one), and one input alone: docs/fuzz.md.
fuzz: node_modules/.package-lock.json ## give every parser bytes that nobody has promised anything of (SECONDS=60 TARGET=wire SEED=1 INPUT=FILE)
	@node test/fuzz/fuzz.ts '$(or $(SECONDS),60)' '$(TARGET)' '$(SEED)' '$(INPUT)'

# How many moments: COUNT for kills and power cuts; SEED: which error which call gets.
crashes: node_modules/.package-lock.json ## every call of an install fails once, 200 are killed, 100 lose their power, as root (CALLS=1 COUNT=200 SEED=1): an hour
	node test/crashes/crash.ts calls --every '$(or $(CALLS),1)' --seed '$(or $(SEED),1)'
	node test/crashes/crash.ts kills --count '$(or $(COUNT),200)' --seed '$(or $(SEED),1)'
	node test/crashes/crash.ts restarts --count 10
	unshare --mount --pid --fork --kill-child --mount-proc node test/crashes/crash.ts cuts --count '$(or $(COUNT),100)'

sim: node_modules/.package-lock.json ## swarms in the simulator: fixed seeds and a fresh one, faults, floors of efficiency
	$(NODE_TEST) test/sim/*.test.ts

sim-large: node_modules/.package-lock.json ## the simulator's largest promise: 10,000 nodes, liveness and a floor of efficiency; minutes
	node test/sim/large.ts

# The first takes longest, and while it waits for one machine the others have a processor: the heaviest of them come last.
BOOT_TESTS := test/boot/cluster.test.ts test/boot/disks.test.ts test/boot/init.test.ts test/boot/loaders.test.ts
# Each file has namespaces of its own (test/boot/lab.ts): nothing of it outlives the test, however that ends.
OWN_ROOM := unshare --net --mount --pid --fork --kill-child --mount-proc

boot-test: packages-boot types build/swarmboot-agent ## machines boot over the network and install themselves, under emulation, as root: a quarter of an hour
	node test/boot/prepare.ts
	printf '%s\n' $(BOOT_TESTS) | xargs --max-procs=2 --max-args=1 $(OWN_ROOM) node --test

secureboot-test: packages-secureboot types build/swarmboot-agent build/ipxe/ipxe.efi ## machines start what docs/secureboot.md signs, for Secure Boot and for imgverify, and nothing else, as root: six minutes
	node test/boot/prepare.ts kernel
	$(OWN_ROOM) node --test test/boot/secureboot.test.ts
	$(OWN_ROOM) node --test test/boot/imgverify.test.ts

# An iPXE 1.21.1+ that knows imgverify, which Debian's do not. We do not know who has built it: it runs in that test's machines only.
IMGVERIFY_IPXE := ipxe@1.0.3
IMGVERIFY_SHA512 := baa20c2d962941f09863d38913e22764874da98fabe2a7ceb0dde1daaadf285cafbf9d6e7622030fc620e33445db54e4dea82910f76d907aec674eedd5e6eea2
build/ipxe/ipxe.efi: Makefile
	rm -rf build/ipxe
	mkdir -p build/ipxe
	$(NPM) pack --silent --pack-destination build/ipxe $(IMGVERIFY_IPXE)
	mv build/ipxe/*.tgz build/ipxe/package.tgz
	echo '$(IMGVERIFY_SHA512)  build/ipxe/package.tgz' | sha512sum --check --quiet
	tar --extract --touch --file build/ipxe/package.tgz --directory build/ipxe --strip-components=3 package/boot/ipxe/ipxe.efi

agent: build/swarmboot-agent ## bundle the agent into one file and one executable, build/swarmboot-agent
build/swarmboot-agent: $(AGENT_SOURCES) | node_modules/.package-lock.json
	node scripts/build.ts

MANUAL := parameters.md limits.md layout.schema.json swarmboot.schema.json
manual: node_modules/.package-lock.json ## print the tables of parameters and limits and the schemas of layouts and configuration into docs
	for text in $(MANUAL); do node scripts/manual.ts $$text > docs/$$text; done

# What an image server needs that has no source tree, and where it goes.
VERSION := $(shell sed -n 's/^  "version": "\(.*\)",$$/\1/p' package.json)
PREFIX := /usr/local
DESTDIR :=
UNITS = $(PREFIX)/lib/systemd/system
# The date of manual pages and package: that of the last commit, so that the same tree gives the same bytes.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || date +%s)
export SOURCE_DATE_EPOCH
PROGRAM_SOURCES = $(shell find agent scripts initrd-builder -type f) package.json package-lock.json
TEXTS := swarmboot.1 swarmboot.json.5 swarmboot-agent.8 completion.bash
DOCS := README.md docs/admin.md docs/layouts.md docs/parameters.md docs/pxe.md docs/secureboot.md docs/simulate.md docs/watch.md

sbom: node_modules/.package-lock.json ## list what the product is made of, with hashes, in build/sbom.cdx.json (CycloneDX)
	mkdir -p build
	$(NPM) sbom --sbom-format=cyclonedx --package-lock-only | node scripts/sbom.ts > build/sbom.cdx.json

program: build/lib/scripts/swarmboot.mjs ## pack the swarmboot command with its Node, the agent and its data into build/lib
build/lib/scripts/swarmboot.mjs: $(PROGRAM_SOURCES) build/swarmboot-agent | node_modules/.package-lock.json
	node scripts/pack.ts

man: $(TEXTS:%=build/man/%) ## print the manual pages and the completion for bash into build/man
build/man/%: $(PROGRAM_SOURCES) | node_modules/.package-lock.json
	mkdir -p build/man
	node scripts/manual.ts $* > $@

install: program man ## install below PREFIX=/usr/local (DESTDIR=... for packages): command, manual, services; nothing is started
	install -d '$(DESTDIR)$(PREFIX)/lib/swarmboot' '$(DESTDIR)$(PREFIX)/bin'
	cp -R build/lib/. '$(DESTDIR)$(PREFIX)/lib/swarmboot'
	chmod -R u=rwX,go=rX '$(DESTDIR)$(PREFIX)/lib/swarmboot'
	printf '#!/bin/sh\nexec %s/lib/swarmboot/node --disable-warning=ExperimentalWarning %s/lib/swarmboot/scripts/swarmboot.mjs "$$@"\n' '$(PREFIX)' '$(PREFIX)' \
	  > '$(DESTDIR)$(PREFIX)/bin/swarmboot'
	chmod 755 '$(DESTDIR)$(PREFIX)/bin/swarmboot'
	for page in swarmboot.1 swarmboot.json.5 swarmboot-agent.8; do \
	  install -D -m 644 build/man/$$page "$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$$page"; \
	done
	install -D -m 644 build/man/completion.bash '$(DESTDIR)$(PREFIX)/share/bash-completion/completions/swarmboot'
	install -D -m 644 -t '$(DESTDIR)$(PREFIX)/share/swarmboot' docs/layout.schema.json docs/swarmboot.schema.json docs/grafana.json
	install -D -m 644 -t '$(DESTDIR)$(PREFIX)/share/doc/swarmboot' $(DOCS)
	install -D -m 644 scripts/systemd/sysusers.conf '$(DESTDIR)$(PREFIX)/lib/sysusers.d/swarmboot.conf'
	install -D -m 644 scripts/systemd/tmpfiles.conf '$(DESTDIR)$(PREFIX)/lib/tmpfiles.d/swarmboot.conf'
	install -D -m 644 -t '$(DESTDIR)$(UNITS)' scripts/systemd/swarmboot-dnsmasq.service
	sed 's|/usr/bin/swarmboot|$(PREFIX)/bin/swarmboot|' scripts/systemd/swarmboot.service > '$(DESTDIR)$(UNITS)/swarmboot.service'
	chmod 644 '$(DESTDIR)$(UNITS)/swarmboot.service'

uninstall: ## remove what install has put there; configuration and repository stay
	rm -rf $(foreach name,lib share share/doc,'$(DESTDIR)$(PREFIX)/$(name)/swarmboot')
	rm -f '$(DESTDIR)$(PREFIX)/bin/swarmboot' '$(DESTDIR)$(PREFIX)/share/bash-completion/completions/swarmboot' \
	  '$(DESTDIR)$(PREFIX)'/share/man/man[158]/swarmboot{.1,.json.5,-agent.8} \
	  '$(DESTDIR)$(PREFIX)'/lib/{sysusers,tmpfiles}.d/swarmboot.conf '$(DESTDIR)$(UNITS)'/swarmboot{,-dnsmasq}.service

# How dpkg-deb compresses: xz for a release.
COMPRESSION := xz
DEB := build/deb/swarmboot_$(VERSION)_amd64.deb
deb: packages-package program man ## build the Debian package build/deb/swarmboot_VERSION_amd64.deb (COMPRESSION=none is quick)
	rm -rf build/deb/swarmboot
	mkdir -p build/deb/swarmboot
	cp -R scripts/debian build/deb/swarmboot/debian
	printf 'swarmboot (%s) unstable; urgency=medium\n\n  * Release %s.\n\n -- %s  %s\n' '$(VERSION)' '$(VERSION)' \
	  "$$(sed -n 's/^Maintainer: //p' scripts/debian/control)" "$$(date --utc --rfc-email --date=@$(SOURCE_DATE_EPOCH))" \
	  > build/deb/swarmboot/debian/changelog
	cd build/deb/swarmboot && TOP='$(CURDIR)' COMPRESSION='$(COMPRESSION)' dpkg-buildpackage --build=binary --no-sign

deb-test: packages-package ## the Debian package under lintian and systemd-analyze, and installed, used, upgraded, purged in a small Debian, as root
	rm -f build/deb/*~test*.deb
	$(MAKE) deb VERSION='$(VERSION)~test1' COMPRESSION='gzip -z1'
	$(MAKE) deb VERSION='$(VERSION)~test2' COMPRESSION=none
	node test/package/prepare.ts
	$(OWN_ROOM) node --test test/package/*.test.ts

demo: packages-demo node_modules/.package-lock.json build/swarmboot-agent ## a Debian on NODES=8 nodes of this machine (IMAGE=DIR, SIZE=1G, RATE=100 Mbit/s)
	@node scripts/demo.ts

picture: packages-demo ## draw docs/demo.svg from what the terminal shows of a real `make demo`
	mkdir -p build docs
	script --quiet --return --command "stty cols 100 rows 60; echo '$$ make demo'; make --no-print-directory demo" build/demo.typescript
	node scripts/demo/picture.ts build/demo.typescript > docs/demo.svg

boot-picture: build/boot-lab/node003-1.console ## draw docs/boot.svg from the console of a machine in the last `make boot-test`
	sed --quiet '/^network: /,/^web: /s/$$/\r/p' $< > build/boot.console
	node scripts/demo/picture.ts build/boot.console > docs/boot.svg
build/boot-lab/node003-1.console:
	$(MAKE) boot-test

bench-engine: packages-bench node_modules/.package-lock.json ## our peer beside aria2, rtorrent, libtorrent, transmission
	node test/bench/engine.ts

bench-swarm: packages-bench node_modules/.package-lock.json ## swarms of ours and of others on shaped links, as root (NODES=16 RATE=20mbit SIZE=64MiB RIVALS=none: docs/swarm.md)
	@$(OWN_ROOM) node test/bench/swarm.ts

bench-install: packages-bench packages-demo node_modules/.package-lock.json build/swarmboot-agent ## installs on shaped links: download and extraction overlapped, as root (NODES=4 RATE=100mbit ROUNDS=5)
	node test/bench/install/prepare.ts
	@$(OWN_ROOM) node test/bench/install.ts

bench-watch: packages-test node_modules/.package-lock.json ## a thousand and ten thousand nodes report to one server, and a browser shows them (NODES=1000,10000)
	node test/bench/watch.ts

bench-crypt: node_modules/.package-lock.json ## how fast encrypted tarballs are sealed and opened by one core
	@node test/bench/crypt.ts

bench-trust: packages-bench packages-demo node_modules/.package-lock.json build/swarmboot-agent ## what signed, closed and encrypted installs cost beside plain ones, as root (NODES=2 ROUNDS=5)
	node test/bench/install/prepare.ts sealed
	@$(OWN_ROOM) node test/bench/trust.ts

figures: packages-bench node_modules/.package-lock.json ## draw docs/figures, the paper's own, from runs in the lab, as root: twenty minutes
	@$(OWN_ROOM) node test/bench/figures.ts

lab: packages-bench node_modules/.package-lock.json ## a shell beside machines on shaped links, as root (NODES=16 RATE=20mbit LOSS=1% SLOW=1:0.1 COMMAND=...)
	@$(OWN_ROOM) node test/lab/shell.ts

lab-test: packages-bench types ## the lab keeps what its links promise; a slow link and a slow disk are told apart; who listens on the wire hears no secret, as root: a minute
	$(OWN_ROOM) node --test --test-concurrency=1 test/lab/*.test.ts

faults: packages-bench node_modules/.package-lock.json ## the fault matrix: real agents, real faults, invariants after each run, as root (ROW=2,9 SEEDS=5: docs/faults.md); hours for all
	@$(OWN_ROOM) node test/faults/faults.ts

faults-test: packages-bench node_modules/.package-lock.json ## three rows of the fault matrix in a small lab, as root: two minutes
	$(OWN_ROOM) node --test test/faults/faults.test.ts

clean: ## remove all that was built; node_modules stays
	rm -rf build
