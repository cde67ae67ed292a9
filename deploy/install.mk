# `make install`: the program in an environment of its own under PREFIX, pinned by deploy/requirements.lock, and the units
# of systemd. DESTDIR is put before every path, for a package or a trial; then nothing of this machine is touched.
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
INSTALL_SH = PREFIX='$(PREFIX)' SYSCONFDIR='$(SYSCONFDIR)' DESTDIR='$(DESTDIR)' PYTHON='$(PYTHON)' sh deploy/install.sh

.PHONY: install rollback uninstall

install: ## as root: the program under PREFIX (/usr/local), its user, its systemd units; settings that are there stay
	@$(INSTALL_SH) install

rollback: ## as root: the version before the last `make install` again, and this one with the next rollback
	@$(INSTALL_SH) rollback

uninstall: ## as root: stop it and take it away; its settings, its user and what it stored stay
	@$(INSTALL_SH) uninstall
