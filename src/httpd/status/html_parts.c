/* Draws numbers. In request threads. */
#include "httpd/status/html_parts.h"

#include "httpd/status/status.h"

#include <apr_strings.h>
#include <http_protocol.h>

/* The bars of a histogram, and those of minutes, in units of their pictures. */
#define BAR_STEP     22
#define BAR_WIDTH    18
#define BAR_HEIGHT   64
#define MINUTE_STEP  6
#define MINUTE_WIDTH 5

void la_html_number(request_rec *r, const char *label, uint64_t value, int is_bad)
{
    ap_rprintf(r, "<div class=\"n%s\"><b>" LA_U64 "</b> <span>%s</span></div>\n",
               value == 0 ? " zero"
               : is_bad   ? " bad"
                          : "",
               value, label);
}

void la_html_fill(request_rec *r, double share)
{
    ap_rprintf(r,
               "<svg class=\"fill\" viewBox=\"0 0 100 2\" preserveAspectRatio=\"none\" role=\"img\""
               " aria-label=\"fill\"><rect width=\"%.2f\" height=\"2\"></rect></svg>\n",
               100 * share);
}

/* The height of a bar; what is not 0 is seen. */
static int height_of(uint64_t value, uint64_t most)
{
    int height = most ? (int)((double)value * BAR_HEIGHT / (double)most + 0.5) : 0;

    return value && height == 0 ? 1 : height;
}

void la_html_histogram(request_rec *r, const la_counters_histogram_t *histogram, const char *of)
{
    uint64_t most = 0;

    for (int i = 0; i <= LA_COUNTERS_BUCKETS; i++) {
        most = histogram->buckets[i] > most ? histogram->buckets[i] : most;
    }
    ap_rprintf(r, "<figure><svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"latency of %s\">\n",
               (LA_COUNTERS_BUCKETS + 1) * BAR_STEP, BAR_HEIGHT + 22, of);
    for (int i = 0; i <= LA_COUNTERS_BUCKETS; i++) {
        int height = height_of(histogram->buckets[i], most);
        const char *bound =
            i < LA_COUNTERS_BUCKETS
                ? apr_psprintf(r->pool, "%g", (double)la_counters_bounds_us[i] / 1e3)
                : "more";

        ap_rprintf(r,
                   "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"2\"><title>up to %s "
                   "ms: " LA_U64 "</title></rect><text x=\"%d\" y=\"%d\">%s</text>\n",
                   i * BAR_STEP + 2, BAR_HEIGHT - height + 6, BAR_WIDTH, height, bound,
                   histogram->buckets[i], i * BAR_STEP + 2 + BAR_WIDTH / 2, BAR_HEIGHT + 18,
                   i % 2 ? bound : "");
    }
    ap_rprintf(r, "</svg><figcaption>" LA_U64 " %s, %.2f ms on average</figcaption></figure>\n",
               histogram->count, of,
               histogram->count ? (double)histogram->sum_us / (double)histogram->count / 1e3 : 0.0);
}

/* ---- tokens ---- */

static void write_minute(request_rec *r, int minute, la_counters_tokens_t tokens, uint64_t most)
{
    int input = height_of(tokens.input, most);
    int output = height_of(tokens.output, most);
    int ago = LA_COUNTERS_MINUTES - 1 - minute;

    if (input + output == 0) {
        return;
    }
    ap_rprintf(r,
               "<g><title>%d min ago: " LA_U64 " in, " LA_U64 " out</title>"
               "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"></rect>"
               "<rect class=\"out\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"></rect></g>\n",
               ago, tokens.input, tokens.output, minute * MINUTE_STEP, BAR_HEIGHT + 6 - input,
               MINUTE_WIDTH, input, minute * MINUTE_STEP, BAR_HEIGHT + 6 - input - output,
               MINUTE_WIDTH, output);
}

void la_html_tokens(request_rec *r, const la_counters_usage_t *usage, const char *name)
{
    la_counters_tokens_t hour = {0, 0};
    uint64_t most = 0;
    uint64_t answers = 0;

    for (int i = 0; i < LA_COUNTERS_USAGES; i++) {
        answers += usage->answers[i];
    }
    if (answers == 0) {
        return;
    }
    for (int i = 0; i < LA_COUNTERS_MINUTES; i++) {
        uint64_t sum = usage->minutes[i].input + usage->minutes[i].output;

        most = sum > most ? sum : most;
        hour.input += usage->minutes[i].input;
        hour.output += usage->minutes[i].output;
    }
    name = ap_escape_html(r->pool, name);
    ap_rprintf(r, "<figure><svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"tokens of %s\">\n",
               LA_COUNTERS_MINUTES * MINUTE_STEP, BAR_HEIGHT + 22, name);
    for (int i = 0; i < LA_COUNTERS_MINUTES; i++) {
        write_minute(r, i, usage->minutes[i], most);
    }
    ap_rprintf(r,
               "<line x1=\"0\" y1=\"%d\" x2=\"%d\" y2=\"%d\"></line>"
               "<text x=\"0\" y=\"%d\" class=\"from\">1 h ago</text>"
               "<text x=\"%d\" y=\"%d\" class=\"to\">now</text></svg>"
               "<figcaption><b>%s</b>: " LA_U64 " in and <i class=\"out\">" LA_U64
               " out</i> in the last hour, at most " LA_U64 " a minute; in all " LA_U64
               " in, " LA_U64 " out</figcaption></figure>\n",
               BAR_HEIGHT + 7, LA_COUNTERS_MINUTES * MINUTE_STEP, BAR_HEIGHT + 7, BAR_HEIGHT + 18,
               LA_COUNTERS_MINUTES * MINUTE_STEP, BAR_HEIGHT + 18, name, hour.input, hour.output,
               most, usage->all.input, usage->all.output);
}
