/*
 * The Ed25519 key that a user logs in with: a file in PEM (PKCS#8, without a passphrase) that
 * nobody else can read.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "lib/tls_client.h"

#define auto_key __attribute__((cleanup(key_done)))

enum { KEY_PUBLIC_SIZE = 32, KEY_SIGNATURE_SIZE = 64 };

struct key {
	EVP_PKEY *pair;                  /* NULL: none */
	uint8_t public[KEY_PUBLIC_SIZE]; /* what the server knows it by */
};

/* -ENOENT; -EPERM: others can read the file; -EINVAL: there is no such key in it; -errno. */
int key_read(int dir, const char *name, struct key *ret);
void key_done(struct key *k);

/* Makes one, and the file for it. -EEXIST: the file is there, and stays; -EIO, -errno. */
int key_make(int dir, const char *name, struct key *ret);

/* Signs that user logs in over the connection that has this binding, and over no other. -EIO. */
int key_sign_login(const struct key *k, const char *user, const uint8_t binding[TLS_CLIENT_BINDING],
		   uint8_t ret[KEY_SIGNATURE_SIZE]);
