/*
 * What a role gives up: Landlock (files, connections, signals) and seccomp (everything that it does
 * not need). Constants newer than the build's headers are defined in sandbox.c and nowhere else.
 * Fails closed unless the configuration says best effort.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sandbox_filter {
	SANDBOX_GATEHOUSE,
	SANDBOX_GATE,
	SANDBOX_SESSION,
	SANDBOX_KEEPER,
	SANDBOX_BEACON,
	SANDBOX_VERIFIER,
	SANDBOX_FILTERS
};

/* Landlock ABI of this kernel, 0 without. */
int sandbox_landlock_abi(void);

/* 0 if this kernel can do all that is required (Landlock ABI 2, seccomp filters, openat2);
 * -ENOSYS and *ret_why in words. */
int sandbox_supported(const char **ret_why);

enum sandbox_access { SANDBOX_READ_ONLY, SANDBOX_READ_WRITE };
struct sandbox_root {
	int fd; /* a directory */
	enum sandbox_access access;
};

/* Sets no_new_privs and allows file access beneath the n roots only (n = 0: none at all).
 * Rights this kernel does not know are left out. 0 or -errno (-EOPNOTSUPP, -ENOSYS without
 * Landlock). */
int sandbox_landlock(const struct sandbox_root *roots, size_t n);

/* Compiles the filter once, before any role is cloned; roles then only load it. 0 or -errno. */
int sandbox_compile(enum sandbox_filter which);

/* Loads the compiled filter into this thread for good. 0 or -errno. */
int sandbox_enter(enum sandbox_filter which);

/* The socket fd is for sending and nothing else from here on: this process and its clones cannot
 * shut it down, set its options, or send from it to a name or with descriptors. For one that all
 * roles share; it is known by its number, so it must stay there. 0 or -errno. */
int sandbox_guard(int fd);
