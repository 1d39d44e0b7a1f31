/*
 * The verifier: one process a login. Reads the users file, takes the one packet of the gate, gives
 * up all files, checks one secret, tells the supervisor, and ends.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <syslog.h>

#include <openssl/crypto.h>

#include "daemon/common/packet.h"
#include "daemon/common/role.h"
#include "daemon/common/rolelog.h"
#include "daemon/common/sandbox.h"
#include "daemon/verifier/secret.h"
#include "lib/io.h"
#include "lib/own.h"

enum {
	MEMORY_MAX = 128 << 20, /* the largest users file and a usual hash take half of it */
	SECONDS_MAX = 5,        /* of processor time */
};

struct verifier {
	const struct config *config;
	char *users; /* the file, whole; NULL: it cannot be trusted */
	size_t users_len;
	struct packet_login login;
};

static int
limit_resources(void)
{
	const struct rlimit seconds = { SECONDS_MAX, SECONDS_MAX };

	if (setrlimit(RLIMIT_CPU, &seconds) < 0)
		return -errno;
	return role_limit_memory(MEMORY_MAX);
}

/* Without a file there are no users; with one that is not sound nobody is let in. */
static void
read_users(struct verifier *v)
{
	auto_free char *text = NULL;
	char why[USERS_WHY_MAX];
	int line = 0, r;

	r = users_read(v->config->users, &text, &v->users_len, why);
	if (r == 0)
		r = users_check(text, v->users_len, &line, why);
	else if (r == -ENOENT)
		text = calloc(1, 1);
	if (r == 0 || r == -ENOENT)
		v->users = take_ptr(text);
	else if (line > 0)
		rolelog(LOG_ERR, "%s:%d: %s; nobody can log in", v->config->users, line, why);
	else
		rolelog(LOG_ERR, "%s: %s; nobody can log in", v->config->users, why);
}

static int
enter_sandbox(const struct config *c)
{
	int r;

	r = sandbox_compile(SANDBOX_VERIFIER);
	if (r < 0)
		return r;
	r = sandbox_landlock(NULL, 0);
	if (r < 0 && c->sandbox == CONFIG_SANDBOX_REQUIRE)
		return r;
	return sandbox_enter(SANDBOX_VERIFIER);
}

static int
prepare(struct verifier *v)
{
	int r;

	r = limit_resources();
	if (r < 0)
		return r;
	/* the built-in provider is all that is needed; nothing is looked up behind the sandbox */
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return -ENOMEM;
	read_users(v);
	return 0;
}

/* It lies there already; what came with it is not taken. */
static int
take_login(struct verifier *v)
{
	ssize_t n = recv(ROLE_FD_EXTRA, &v->login, sizeof(v->login), MSG_DONTWAIT | MSG_TRUNC);

	return n == (ssize_t)sizeof(v->login) ? 0 : -EPROTO;
}

/* The modules of PAM need files and more: the only logins that are judged outside the sandbox. */
static bool
stays_outside(const struct verifier *v)
{
#ifdef WITH_PAM
	return v->users != NULL && secret_asks_pam(&v->login, v->users, v->users_len);
#else
	(void)v;
	return false;
#endif
}

/* A certificate is the gate's word alone: not even that counts where no client is asked for one. */
static bool
is_possible(const struct verifier *v)
{
	return v->login.method != LOGIN_CERTIFICATE || v->config->tls_client_ca[0] != '\0';
}

static void
judge(struct verifier *v, struct packet_verified *ret)
{
	enum verified_result result = VERIFIED_BROKEN;
	char why[USERS_WHY_MAX] = "";
	struct user u = { 0 };

	if (!is_possible(v))
		(void)snprintf(why, sizeof(why), "the gate broke its protocol");
	else if (v->users != NULL)
		result = secret_check(&v->login, v->users, v->users_len, &u, why);
	if (why[0] != '\0')
		rolelog(LOG_ERR, "%s: %s", v->config->users, why);
	*ret = (struct packet_verified){ .result = result, .id = v->login.id };
	(void)snprintf(ret->user, sizeof(ret->user), "%s", u.name);
	(void)snprintf(ret->account, sizeof(ret->account), "%s", u.account);
	explicit_bzero(&v->login, sizeof(v->login));
	if (v->users != NULL)
		explicit_bzero(v->users, v->users_len);
}

int
verifier_main(void)
{
	static struct verifier v;
	struct packet_verified answer;
	int r;

	if (role_begin("ftd-verifier") < 0)
		return ROLE_EXIT_SETUP;
	if (role_map_config(ROLE_FD_CONFIG, &v.config) < 0)
		return ROLE_EXIT_SETUP;
	rolelog_init(ROLE_FD_LOG, (unsigned)v.config->log_level);
	r = prepare(&v);
	if (r == 0 && take_login(&v) < 0)
		return ROLE_EXIT_PROTOCOL;
	if (r == 0 && !stays_outside(&v))
		r = enter_sandbox(v.config);
	if (r < 0) {
		rolelog(LOG_ERR, "cannot start a verifier, refusing a login: %s", strerror(-r));
		return ROLE_EXIT_SETUP;
	}
	judge(&v, &answer);
	if (io_send_packet(ROLE_FD_HOUSE, &answer, sizeof(answer), NULL, 0, 0) < 0)
		return ROLE_EXIT_BROKEN;
	return ROLE_EXIT_OK;
}
