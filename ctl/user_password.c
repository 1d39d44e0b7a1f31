#include "ctl/user_password.h"

#include <crypt.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/local.h"
#include "lib/err.h"
#include "lib/own.h"
#include "lib/prompt.h"
#include "lib/text.h"
#include "lib/users.h"

enum { PASSWORD_SIZE = CRYPT_MAX_PASSPHRASE_SIZE }; /* with its end */

/* ---- where it comes from ---- */

static int
read_line(char dst[PASSWORD_SIZE], json_t *answer)
{
	size_t len = 0;
	ssize_t n;
	char c;

	while ((n = read(STDIN_FILENO, &c, 1)) == 1 && c != '\n') {
		if (c == '\0' || len == PASSWORD_SIZE - 1)
			return local_refuse(answer, -FTD_E_bad_request,
					    c == '\0' ? "the password has a NUL"
						      : "the password is longer than %d bytes",
					    PASSWORD_SIZE - 1);
		dst[len++] = c;
	}
	if (n < 0)
		return local_refuse(answer, -errno, "standard input: %s", err_text(-errno));
	dst[len] = '\0';
	return 0;
}

static int
ask(int tty, const char *question, const char *name, char dst[PASSWORD_SIZE], json_t *answer)
{
	auto_free char *text = NULL;
	int r;

	if (asprintf(&text, "%s of %s: ", question, name) < 0)
		return -ENOMEM;
	r = prompt_secret(tty, text, dst, PASSWORD_SIZE);
	if (r >= 0)
		return 0;
	return local_refuse(answer, r, "no password: %s",
			    r == -EMSGSIZE  ? "it is too long"
			    : r == -ENODATA ? "the input has ended"
					    : err_text(r));
}

static int
ask_twice(const char *name, char dst[PASSWORD_SIZE], json_t *answer)
{
	auto_close int tty = prompt_open();
	char again[PASSWORD_SIZE];
	int r;

	if (tty < 0)
		return local_refuse(answer, -FTD_E_bad_request,
				    "there is no terminal to ask for the password; see --stdin");
	r = ask(tty, "New password", name, dst, answer);
	if (r == 0)
		r = ask(tty, "The same again, password", name, again, answer);
	if (r == 0 && strcmp(dst, again) != 0)
		r = local_refuse(answer, -FTD_E_bad_request, "the two passwords differ");
	explicit_bzero(again, sizeof(again));
	return r;
}

/* ---- what becomes of it ---- */

/* Clients send it as text. */
static int
check(const char *password, json_t *answer)
{
	if (password[0] == '\0')
		return local_refuse(answer, -FTD_E_bad_request, "the password is empty");
	if (!text_utf8_valid(password, strlen(password)))
		return local_refuse(answer, -FTD_E_bad_request, "the password is not UTF-8 text");
	return 0;
}

/* yescrypt at the library's own cost. */
static int
hash(const char *password, char *ret_hash, json_t *answer)
{
	struct crypt_data *data = calloc(1, sizeof(*data));
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	const char *made = NULL;
	int r = 0;

	if (data == NULL)
		return -ENOMEM;
	if (crypt_gensalt_rn("$y$", 0, NULL, 0, setting, sizeof(setting)) != NULL)
		made = crypt_r(password, setting, data);
	if (made == NULL || made[0] == '*' || strlen(made) > USER_HASH_MAX)
		r = local_refuse(answer, -EIO, "the password cannot be hashed with yescrypt");
	else
		memcpy(ret_hash, made, strlen(made) + 1);
	explicit_bzero(data, sizeof(*data));
	free(data);
	return r;
}

int
user_password(const struct options *o, const char *name, char *ret_hash, json_t *answer)
{
	bool from_stdin = o->value[OPTION_STDIN] != NULL;
	bool none = o->value[OPTION_NO_PASSWORD] != NULL, pam = o->value[OPTION_PAM] != NULL;
	char password[PASSWORD_SIZE] = "";
	int r;

	if (from_stdin + none + pam > 1)
		return local_refuse(answer, -FTD_E_bad_request,
				    "--stdin, --no-password and --pam contradict each other");
	if (none || pam) {
		memcpy(ret_hash, pam ? USER_PAM : "", pam ? sizeof(USER_PAM) : 1);
		return 0;
	}
	r = from_stdin ? read_line(password, answer) : ask_twice(name, password, answer);
	if (r == 0)
		r = check(password, answer);
	if (r == 0)
		r = hash(password, ret_hash, answer);
	explicit_bzero(password, sizeof(password));
	return r;
}
