#include "daemon/verifier/pamcheck.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/own.h"
#include "lib/users.h"

#ifdef WITH_PAM
#include <security/pam_appl.h>

#define SERVICE "ftd"

static void
replies_free(struct pam_response *list, int n)
{
	for (int i = 0; i < n; i++)
		if (list[i].resp != NULL) {
			explicit_bzero(list[i].resp, strlen(list[i].resp));
			free(list[i].resp);
		}
	free(list);
}

/* A module asks for the password; whatever else it wants to know has no answer here. */
static int
converse(int n, const struct pam_message **ask, struct pam_response **ret, void *password)
{
	struct pam_response *list;

	if (n <= 0 || n > PAM_MAX_NUM_MSG)
		return PAM_CONV_ERR;
	list = calloc((size_t)n, sizeof(*list));
	if (list == NULL)
		return PAM_BUF_ERR;
	for (int i = 0; i < n; i++) {
		if (ask[i]->msg_style == PAM_PROMPT_ECHO_OFF)
			list[i].resp = strdup(password);
		if (ask[i]->msg_style == PAM_PROMPT_ECHO_ON ||
		    (list[i].resp == NULL && ask[i]->msg_style == PAM_PROMPT_ECHO_OFF)) {
			replies_free(list, n);
			return PAM_CONV_ERR;
		}
	}
	*ret = list;
	return PAM_SUCCESS;
}

/* Of what can go wrong, which is the client's? */
static int
answer_of(int r)
{
	switch (r) {
	case PAM_SUCCESS:
		return 1;
	case PAM_AUTH_ERR:
	case PAM_USER_UNKNOWN:
	case PAM_MAXTRIES:
	case PAM_PERM_DENIED:
	case PAM_ACCT_EXPIRED:
	case PAM_NEW_AUTHTOK_REQD:
		return 0;
	default:
		return -EIO;
	}
}

int
pamcheck_password(const char *user, const char *password, char *ret_why)
{
	auto_free char *copy = strdup(password);
	const struct pam_conv conv = { .conv = converse, .appdata_ptr = copy };
	pam_handle_t *pam = NULL;
	int r, answer;

	r = copy != NULL ? pam_start(SERVICE, user, &conv, &pam) : PAM_BUF_ERR;
	if (r == PAM_SUCCESS)
		r = pam_authenticate(pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	if (r == PAM_SUCCESS)
		r = pam_acct_mgmt(pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	answer = answer_of(r);
	if (answer < 0)
		(void)snprintf(ret_why, USERS_WHY_MAX, "PAM cannot tell: %s", pam_strerror(pam, r));
	if (pam != NULL)
		(void)pam_end(pam, r);
	if (copy != NULL)
		explicit_bzero(copy, strlen(copy));
	return answer;
}

#else

int
pamcheck_password(const char *user, const char *password, char *ret_why)
{
	(void)user;
	(void)password;
	(void)snprintf(ret_why, USERS_WHY_MAX, "PAM is to be asked, which was not built in");
	return -EOPNOTSUPP;
}

#endif
