/*
 * The users file (ftd-users(5)): one user a line, "name:password[:option,option...]", comments and
 * empty lines between. Everything is bounded, and nothing is accepted that is not wholly
 * understood: one wrong line refuses the file. No logging; fuzz/fuzz_users.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define USER_NOBODY "anonymous" /* as who has not logged in is shown */
#define USER_PAM "pam"          /* as a password: PAM is asked */

enum {
	USER_NAME_MAX = 32,
	USER_HASH_MAX = 383,
	USER_KEYS_MAX = 16,
	USER_KEY_SIZE = 32, /* an Ed25519 public key */
	USER_LABEL_MAX = 63,
	USER_ACCOUNT_MAX = 32,
	USERS_LINE_MAX = 4096, /* bytes of a line, its end included */
	USERS_FILE_MAX = 16 << 20,
	USERS_WHY_MAX = 160,
};

struct user_key {
	uint8_t bytes[USER_KEY_SIZE];
	char label[USER_LABEL_MAX + 1]; /* "": none */
};

struct user {
	char name[USER_NAME_MAX + 1];
	char hash[USER_HASH_MAX + 1]; /* for crypt(3); USER_PAM; "": has no password */
	bool disabled;
	bool certificate;                   /* may log in with a certificate in its name */
	char account[USER_ACCOUNT_MAX + 1]; /* the system user its sessions run as; "": run_as */
	unsigned n_keys;
	struct user_key keys[USER_KEYS_MAX];
	int line; /* where in the file, from 1 */
};

/* [a-z0-9_][a-z0-9_.-]*, at most USER_NAME_MAX; not USER_NOBODY. */
bool users_name_is_valid(const char *name, size_t len);

/* [A-Za-z0-9@._-]+, at most USER_LABEL_MAX. */
bool users_label_is_valid(const char *label, size_t len);

/* A name that a user of this machine may have: [A-Za-z0-9_.][A-Za-z0-9_.-]*, at most
 * USER_ACCOUNT_MAX. */
bool users_account_is_valid(const char *name, size_t len);

/* Opens and reads the whole file, which is regular, writable by its owner only, and the owner is
 * root or who reads. The caller frees *ret_text (it holds hashes). -ENOENT: there is none; -EPERM,
 * -EFBIG, -EINVAL or another errno; *ret_why (USERS_WHY_MAX) says on failure what is wrong. */
int users_read(const char *path, char **ret_text, size_t *ret_len, char *ret_why);

/* The same for another reader: ftd looks as root at what it will read as somebody else. */
int users_read_as(uid_t reader, const char *path, char **ret_text, size_t *ret_len, char *ret_why);

/* Begins as { .at = text, .end = text + len }. */
struct users_reader {
	const char *at, *end;
	const char *begin; /* of the line read last */
	int line;          /* its number */
};

/* The next user: 1; 0 at the end; -EINVAL, and ret_why (USERS_WHY_MAX) says what is wrong in
 * reader->line. It never quotes a password. */
int users_next(struct users_reader *reader, struct user *ret, char *ret_why);

/* Is the whole file sound: every line, and no name twice? 0; -EINVAL with the line and ret_why;
 * -ENOMEM. */
int users_check(const char *text, size_t len, int *ret_line, char *ret_why);

/* The line of a user without its end; buf has USERS_LINE_MAX bytes. Returns its length: every user
 * that users_next() gave fits. */
int users_format(const struct user *u, char *buf);
