# `make install` installs the program in an environment of its own under PREFIX, pinned by deploy/requirements.lock, and
# the units of systemd. DESTDIR goes before every path, for a package or a trial; then nothing of this machine changes.
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
INSTALL_SH = PREFIX='$(PREFIX)' SYSCONFDIR='$(SYSCONFDIR)' DESTDIR='$(DESTDIR)' PYTHON='$(PYTHON)' sh deploy/install.sh

.PHONY: install rollback uninstall

install: ## as root: install the program under PREFIX (/usr/local), its user and its systemd units; keep existing settings
	@$(INSTALL_SH) install

rollback: ## as root: return to the version before the last `make install`; the next rollback returns to this one
	@$(INSTALL_SH) rollback

uninstall: ## as root: stop the gateway and remove it; keep its settings, its user and its state
	@$(INSTALL_SH) uninstall
