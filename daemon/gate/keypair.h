/*
 * Certificate and key: loaded, checked and, where there is none, made. For the gatehouse, before it
 * gives up the files; no other process ever has the key. No logging: why tells.
 */
#pragma once

#include <openssl/ssl.h>

#include "daemon/common/certificate.h"

enum { KEYPAIR_WHY_MAX = 256 };

/* Makes the pair that the files name (P-256, self-signed, ten years, the machine's name) if there
 * is none: of an own pair if any of the two is missing, else if both are. The key gets mode 0600.
 * 0, or negative and *ret_why. */
int keypair_ensure(const struct certificate_files *files, char *ret_why);

/* Takes both into the context: the key belongs to the certificate, and the chain can be read. Of
 * its days nothing is asked: clients that know the certificate do not mind, and a daemon that does
 * not start serves nobody. 0, or negative and *ret_why. */
int keypair_load(SSL_CTX *ctx, const struct certificate_files *files, struct certificate_info *ret,
		 char *ret_why);
