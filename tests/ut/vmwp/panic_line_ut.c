/* SPDX-License-Identifier: MIT */
/* What a kernel died of, out of what passes on its console. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "vmwp/panic_line.h"

static struct panic_line p;

static const char *after(const char *text, uint32_t step)
{
	uint32_t len = (uint32_t)strlen(text);

	memset(&p, 0, sizeof(p));
	for (uint32_t at = 0; at < len; at += step)
		panic_line_see(&p, text + at, step < len - at ? step : len - at);
	return panic_line_text(&p);
}

START_TEST(lines)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "", "" },
		{ "all is well\r\nKernel\r\n panic\n", "" },
		{ "[   23.2] Kernel panic - not syncing: x y\r\n[  23.3] CPU: 0\r\n",
		  "Kernel panic - not syncing: x y" },
		{ "a\n[1] Kernel panic - not", "Kernel panic - not" }, /* has not ended yet */
		{ "Kernel panic: \033[1mbold\a\x80\n", "Kernel panic: [1mbold" },
		{ "Kernel panic 1\nKernel panic 2\nend\n", "Kernel panic 2" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (uint32_t step = 1; step < 50; step += 6)
			ck_assert_str_eq(after(cases[i].in, step), cases[i].out);
}
END_TEST

/* A guest that writes without an end gains nothing. */
START_TEST(long_lines)
{
	char text[4096];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memcpy(text + 2000, "Kernel panic", 12);
	ck_assert_str_eq(after(text, 100), "");
	memcpy(text + 20, "Kernel panic", 12);
	ck_assert_uint_eq(strlen(after(text, 100)), PANIC_LINE_MAX);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("panic line");
	TCase *tc = tcase_create("panic line");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, lines);
	tcase_add_test(tc, long_lines);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
