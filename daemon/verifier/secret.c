#include "daemon/verifier/secret.h"

#include <crypt.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "daemon/verifier/pamcheck.h"
#include "lib/own.h"

enum { CLASSES_MAX = 16 };

/* As `ftctl user` makes them; of no password. */
static const char default_decoy[] = "$y$j9T$Q4IZl8R0CM4T/k3ig1YiH/";

static const char signed_prefix[] = "ftd/1 login"; /* and its NUL */

/* ---- how dear a hash is */

/* So many bytes of the hash name its method and cost; what follows is salt (crypt(5)). */
static size_t
class_len(const char *hash)
{
	static const char *const saltless[] = { "$1$", "$5$", "$6$" };
	const char *at = hash;

	for (size_t i = 0; i < ARRAY_SIZE(saltless); i++)
		if (strncmp(hash, saltless[i], 3) == 0 && strncmp(hash + 3, "rounds=", 7) != 0)
			return 3;
	if (strncmp(hash, "$7$", 3) == 0)
		return strnlen(hash, 14);
	for (int i = 0; i < 3 && at != NULL; i++)
		at = strchr(i == 0 ? hash : at + 1, '$');
	return at != NULL ? (size_t)(at - hash) + 1 : 0;
}

struct classes {
	struct {
		char hash[USER_HASH_MAX + 1]; /* the first of it */
		size_t len;
		unsigned users;
	} list[CLASSES_MAX];
	size_t n;
};

/* A file of more kinds than there is room for is judged by its first ones. */
static void
count(struct classes *c, const char *hash)
{
	size_t len = class_len(hash), i = 0;

	while (i < c->n && (c->list[i].len != len || strncmp(c->list[i].hash, hash, len) != 0))
		i++;
	if (i == CLASSES_MAX)
		return;
	if (i == c->n) {
		(void)snprintf(c->list[i].hash, sizeof(c->list[i].hash), "%s", hash);
		c->list[i].len = len;
		c->n++;
	}
	c->list[i].users++;
}

static bool
is_of_pam(const struct user *u)
{
	return strcmp(u->hash, USER_PAM) == 0;
}

static bool
has_hash(const struct user *u)
{
	return u->hash[0] != '\0' && !is_of_pam(u);
}

/* One way through the whole file: who asks, and what most passwords cost. */
static int
look_up(const char *users, size_t len, const char *name, struct user *ret_user, char *ret_decoy,
	char *ret_why)
{
	struct users_reader r = { .at = users, .end = users + len };
	struct classes classes = { .n = 0 };
	const char *decoy = default_decoy;
	unsigned most = 0;
	struct user u;
	int more;

	while ((more = users_next(&r, &u, ret_why)) > 0) {
		if (has_hash(&u))
			count(&classes, u.hash);
		if (strcmp(u.name, name) == 0)
			*ret_user = u;
	}
	explicit_bzero(&u, sizeof(u));
	for (size_t i = 0; i < classes.n; i++)
		if (classes.list[i].users > most) {
			most = classes.list[i].users;
			decoy = classes.list[i].hash;
		}
	(void)snprintf(ret_decoy, USER_HASH_MAX + 1, "%s", decoy);
	explicit_bzero(&classes, sizeof(classes));
	return more;
}

void
secret_decoy(const char *users, size_t len, char *buf)
{
	char why[USERS_WHY_MAX];
	struct user none;

	(void)look_up(users, len, "", &none, buf, why);
}

/* ---- the three kinds */

/* Is it what was hashed? 1, 0, or -EINVAL: the hash is none that libcrypt can make here. */
static int
compare(const char *password, const char *hash)
{
	struct crypt_data *data = calloc(1, sizeof(*data));
	size_t len = strlen(hash);
	const char *made;
	int r = -EINVAL;

	if (data == NULL)
		return -ENOMEM;
	made = crypt_r(password, hash, data);
	if (made != NULL && made[0] != '*')
		r = strlen(made) == len && CRYPTO_memcmp(made, hash, len) == 0;
	explicit_bzero(data, sizeof(*data));
	free(data);
	return r;
}

/* Of a user without a hash, or with one that cannot be made here, another one is. A password that
 * is longer than libcrypt takes is nobody's. */
static int
check_password(const struct packet_login *login, const struct user *u, const char *decoy, char *why)
{
	const char *const hashes[] = { has_hash(u) ? u->hash : decoy, decoy, default_decoy };
	char password[CRYPT_MAX_PASSPHRASE_SIZE] = "";
	size_t len = login->password_len;
	bool fits = len < sizeof(password);
	int r = -EINVAL;
	size_t i = 0;

	memcpy(password, login->password, fits ? len : sizeof(password) - 1);
	while (i < ARRAY_SIZE(hashes) && (r = compare(password, hashes[i])) < 0)
		i++;
	explicit_bzero(password, sizeof(password));
	if (i > 0 && has_hash(u))
		(void)snprintf(why, USERS_WHY_MAX, "line %d: the password cannot be hashed here",
			       u->line);
	return r > 0 ? i == 0 && fits && has_hash(u) : r;
}

/* What it costs is PAM's; where it was not built in, as much as for others. */
static int
ask_pam(const struct packet_login *login, const struct user *u, const char *decoy, char *why)
{
	char password[sizeof(login->password) + 1];
	int r;

	memcpy(password, login->password, login->password_len);
	password[login->password_len] = '\0';
	r = pamcheck_password(u->name, password, why);
	explicit_bzero(password, sizeof(password));
	return r == -EOPNOTSUPP ? check_password(login, u, decoy, why) : r;
}

static bool
is_signed(const struct packet_login *login)
{
	uint8_t text[sizeof(signed_prefix) + sizeof(login->user) + sizeof(login->exporter)];
	size_t name_len = strlen(login->user) + 1;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *key =
	    EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, login->key, sizeof(login->key));
	bool good = false;

	memcpy(text, signed_prefix, sizeof(signed_prefix));
	memcpy(text + sizeof(signed_prefix), login->user, name_len);
	memcpy(text + sizeof(signed_prefix) + name_len, login->exporter, sizeof(login->exporter));
	if (ctx != NULL && key != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1)
		good = EVP_DigestVerify(ctx, login->signature, sizeof(login->signature), text,
					sizeof(signed_prefix) + name_len +
					    sizeof(login->exporter)) == 1;
	EVP_PKEY_free(key);
	EVP_MD_CTX_free(ctx);
	return good;
}

static bool
check_key(const struct packet_login *login, const struct user *u)
{
	bool own = false;

	for (unsigned i = 0; i < u->n_keys; i++)
		own |= CRYPTO_memcmp(u->keys[i].bytes, login->key, sizeof(login->key)) == 0;
	return is_signed(login) && own;
}

/* What the gate says of the line must allow the kind of secret. */
static bool
is_sound(const struct packet_login *l)
{
	if (memchr(l->user, '\0', sizeof(l->user)) == NULL)
		return false;
	switch (l->method) {
	case LOGIN_PASSWORD:
		return l->password_len <= sizeof(l->password) &&
		       memchr(l->password, '\0', l->password_len) == NULL;
	case LOGIN_KEY:
		return l->head.tls == 13;
	case LOGIN_CERTIFICATE:
		return l->head.tls != 0;
	default:
		return false;
	}
}

enum verified_result
secret_check(const struct packet_login *login, const char *users, size_t len, struct user *ret_user,
	     char *ret_why)
{
	char decoy[USER_HASH_MAX + 1];
	struct user u = { 0 };
	int yes;

	if (!is_sound(login)) {
		(void)snprintf(ret_why, USERS_WHY_MAX, "the gate broke its protocol");
		return VERIFIED_BROKEN;
	}
	if (look_up(users, len, login->user, &u, decoy, ret_why) < 0)
		return VERIFIED_BROKEN;
	if (login->method == LOGIN_PASSWORD && is_of_pam(&u))
		yes = ask_pam(login, &u, decoy, ret_why);
	else if (login->method == LOGIN_PASSWORD)
		yes = check_password(login, &u, decoy, ret_why);
	else if (login->method == LOGIN_KEY)
		yes = check_key(login, &u);
	else
		yes = u.certificate;
	explicit_bzero(decoy, sizeof(decoy));
	explicit_bzero(u.hash, sizeof(u.hash));
	if (yes < 0) {
		if (ret_why[0] == '\0')
			(void)snprintf(ret_why, USERS_WHY_MAX, "no password can be hashed");
		return VERIFIED_BROKEN;
	}
	if (yes == 0) {
		memcpy(ret_user->name, u.name, sizeof(u.name));
		return VERIFIED_NO;
	}
	*ret_user = u;
	return u.disabled ? VERIFIED_DISABLED : VERIFIED_YES;
}

bool
secret_asks_pam(const struct packet_login *login, const char *users, size_t len)
{
	char decoy[USER_HASH_MAX + 1], why[USERS_WHY_MAX];
	struct user u = { 0 };
	bool asks;

	if (login->method != LOGIN_PASSWORD || !is_sound(login))
		return false;
	asks = look_up(users, len, login->user, &u, decoy, why) == 0 && is_of_pam(&u);
	explicit_bzero(&u, sizeof(u));
	return asks;
}
