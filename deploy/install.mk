# `make install`: the program in an environment of its own under PREFIX, pinned by deploy/requirements.lock, and the units
# of systemd. DESTDIR is put before every path, for a package or a trial; then nothing of this machine is touched.
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
UNITS := $(SYSCONFDIR)/systemd/system
LIB := $(PREFIX)/lib/claude-gateway
DOC := $(PREFIX)/share/doc/claude-gateway
SETTINGS := $(SYSCONFDIR)/claude-gateway/.env
FILLED_IN := sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|g'
TO = $(DESTDIR)$(1)

.PHONY: install uninstall

install: ## as root: the program under PREFIX (/usr/local), its user, its systemd units; settings that are there stay
	$(PYTHON) -m venv --clear $(call TO,$(LIB))
	$(call TO,$(LIB))/bin/python -m pip install --quiet --require-hashes --no-deps -r deploy/requirements.lock
	rm -rf build
	$(call TO,$(LIB))/bin/python -m pip install --quiet --no-deps --no-build-isolation --no-index .
	rm -rf build
	install -d $(call TO,$(PREFIX)/bin) $(call TO,$(DOC)) $(call TO,$(UNITS)) \
		$(call TO,$(SYSCONFDIR)/sysusers.d) $(call TO,$(SYSCONFDIR)/tmpfiles.d) $(call TO,$(dir $(SETTINGS)))
	printf '#!/bin/sh\nexec %s/bin/python -m claude_gateway.cli "$$@"\n' '$(LIB)' > $(call TO,$(PREFIX)/bin/claude-gateway)
	chmod 755 $(call TO,$(PREFIX)/bin/claude-gateway)
	install -m 644 docs/deploy.md README.md $(call TO,$(DOC))
	$(FILLED_IN) systemd/claude-gateway.service > $(call TO,$(UNITS)/claude-gateway.service)
	$(FILLED_IN) systemd/claude-gateway.socket > $(call TO,$(UNITS)/claude-gateway.socket)
	$(FILLED_IN) systemd/sysusers.conf > $(call TO,$(SYSCONFDIR)/sysusers.d/claude-gateway.conf)
	$(FILLED_IN) systemd/tmpfiles.conf > $(call TO,$(SYSCONFDIR)/tmpfiles.d/claude-gateway.conf)
	test -e $(call TO,$(SETTINGS)) || install -m 600 systemd/environment.example $(call TO,$(SETTINGS))
ifeq ($(DESTDIR),)
	systemd-sysusers $(SYSCONFDIR)/sysusers.d/claude-gateway.conf
	systemd-tmpfiles --create $(SYSCONFDIR)/tmpfiles.d/claude-gateway.conf
	! test -d /run/systemd/system || systemctl daemon-reload
	@echo 'Installed. Now: edit $(SETTINGS), log Claude Code in ($(DOC)/deploy.md), and'
	@echo '  systemctl enable --now claude-gateway.socket claude-gateway.service'
endif

uninstall: ## as root: stop it and take it away; its settings, its user and what it stored stay
ifeq ($(DESTDIR),)
	! test -d /run/systemd/system || systemctl disable --now claude-gateway.service claude-gateway.socket
endif
	rm -rf $(call TO,$(LIB)) $(call TO,$(DOC))
	rm -f $(call TO,$(PREFIX)/bin/claude-gateway) $(call TO,$(UNITS)/claude-gateway.service) \
		$(call TO,$(UNITS)/claude-gateway.socket) $(call TO,$(SYSCONFDIR)/sysusers.d/claude-gateway.conf) \
		$(call TO,$(SYSCONFDIR)/tmpfiles.d/claude-gateway.conf)
ifeq ($(DESTDIR),)
	! test -d /run/systemd/system || systemctl daemon-reload
	@echo 'Gone. Left: $(dir $(SETTINGS)), /var/lib/claude-gateway, the user claude-gateway.'
endif
