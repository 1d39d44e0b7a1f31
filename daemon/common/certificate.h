/*
 * The certificate that the gates show: where it and its key lie, and what can be said of it without
 * the key. Nothing here reads a key. No logging.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/config/config.h"

enum {
	CERTIFICATE_FILE_MAX = 256 << 10, /* bytes of a PEM file with its chain */
	CERTIFICATE_SUBJECT_MAX = 256,
	CERTIFICATE_FINGERPRINT = 32,     /* bytes of SHA-256 */
	CERTIFICATE_FINGERPRINT_TEXT = 72 /* "sha256:" and 64 digits */
};

/* Absolute paths. own: the daemon's own pair, which it makes where one of the two is missing. */
struct certificate_files {
	char directory[PATH_MAX]; /* of own ones */
	char certificate[PATH_MAX + 32], key[PATH_MAX + 32];
	bool own;
};
/* As the configuration names them; else "tls" in the state directory ($STATE_DIRECTORY or
 * LOCALSTATEDIR/lib/ftd) if that can be written to, else in the runtime directory. */
void certificate_files(const struct config *c, struct certificate_files *ret);

/* What tells a changed pair: of a file that is missing all is 0. */
struct certificate_mark {
	struct {
		uint64_t device, inode, size;
		int64_t mtime_ns;
	} file[2];
};
void certificate_mark(const struct certificate_files *files, struct certificate_mark *ret);

struct certificate_info {
	uint8_t fingerprint[CERTIFICATE_FINGERPRINT];
	int64_t not_before, not_after;         /* seconds since 1970 */
	char subject[CERTIFICATE_SUBJECT_MAX]; /* "CN = files.example.net", cut where longer */
};
/* Of the first certificate in a PEM file. 0, -EBADMSG: there is none in it, -errno. */
int certificate_read(const char *file, struct certificate_info *ret);

struct x509_st; /* OpenSSL's */
/* 0, or -EBADMSG. */
int certificate_describe(const struct x509_st *certificate, struct certificate_info *ret);

/* "sha256:…"; buf holds CERTIFICATE_FINGERPRINT_TEXT. Returns buf. */
const char *certificate_fingerprint_text(const uint8_t *fingerprint, char *buf);
