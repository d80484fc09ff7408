// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestLog(t *testing.T) {
	long := strings.Repeat("x", 3*maxLine)
	for _, tc := range []struct {
		name, text string
		records    int
		want       Tally
	}{
		{"nothing", "", 0, Tally{}},
		{"last line without an end", bare + "\n" + typed, 2, Tally{Lines: 2}},
		{"lines of another system", bare + "\r\n" + typed + "\r\n", 2, Tally{Lines: 2}},
		{"empty lines", "\n" + bare + "\n\n", 1, Tally{Lines: 3, Foreign: 2}},
		{"others and broken ones", "x\n" + bare + "\n" + auditd[:100] + "\n" + typed + "\n", 2, Tally{Lines: 4, Foreign: 1, Broken: 1}},
		{"long line", long + "\n" + bare + "\n", 1, Tally{Lines: 2, Foreign: 1}},
		{"long line with a record at its end", long + bare + "\n" + bare, 1, Tally{Lines: 2, Foreign: 1}},
		{"long line without an end", bare + "\n" + long, 1, Tally{Lines: 2, Foreign: 1}},
		{
			"suppressed", "[ 3683.829] kauditd_printk_skb: 12 callbacks suppressed\n[ 3683.830] audit: audit_printk_skb: 30 callbacks suppressed\n", 0,
			Tally{Lines: 2, Foreign: 2, Suppressed: 42},
		},
		{
			"suppressed, as somebody says", "Nov 26 17:24:00 node-1 app: kauditd_printk_skb: 12 callbacks suppressed\nkauditd_printk_skb: many callbacks suppressed\n", 0,
			Tally{Lines: 2, Foreign: 2},
		},
		{
			// The first time, it is known of one only.
			"lost", "[ 1.0] audit: audit_lost=100 audit_rate_limit=0 audit_backlog_limit=64\n[ 2.0] audit: audit_lost=107 audit_rate_limit=0 audit_backlog_limit=64\n", 0,
			Tally{Lines: 2, Foreign: 2, Lost: 8},
		},
		{
			"lost, then started anew", "Nov 26 17:24:00 node-1 kernel: audit: audit_lost=100 audit_rate_limit=0 audit_backlog_limit=64\n[ 2.0] audit: audit_lost=3 audit_rate_limit=0\n", 0,
			Tally{Lines: 2, Foreign: 2, Lost: 2},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := NewLog(strings.NewReader(tc.text))
			records := 0
			for {
				r, err := l.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(parsed(), r); d != "" {
					t.Errorf("record (-want +got):\n%s", d)
				}
				records++
			}
			if records != tc.records {
				t.Errorf("%d records, want %d", records, tc.records)
			}
			if d := cmp.Diff(tc.want, l.Tally()); d != "" {
				t.Errorf("Tally (-want +got):\n%s", d)
			}
		})
	}
}

func TestLogReadError(t *testing.T) {
	broken := errors.New("disk is gone")
	l := NewLog(io.MultiReader(strings.NewReader(bare+"\n"), iotest.ErrReader(broken)))
	if _, err := l.Next(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Next(); !errors.Is(err, broken) {
		t.Errorf("Next: %v, want %v", err, broken)
	}
}

func TestSerials(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   []uint32
		want uint64
	}{
		{"in order", []uint32{7, 8, 9}, 0},
		{"several records of an event", []uint32{7, 7, 8, 7, 8, 9}, 0},
		{"gap", []uint32{7, 8, 12}, 3},
		{"late", []uint32{7, 9, 8, 10}, 0},
		{"late and late again", []uint32{7, 9, 8, 8, 10}, 0},
		{"before the first", []uint32{7, 9, 6, 5}, 1},
		{"too late to be told from a repetition", []uint32{7, 9, 9 + 2*recentSerials, 8}, 2*recentSerials - 1 + 1},
		{"beginning anew", []uint32{1<<32 - 2, 1<<32 - 1, 0, 1, 3}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s serials
			for _, n := range tc.in {
				s.add(n)
			}
			if s.missing != tc.want {
				t.Errorf("%d are missing, want %d", s.missing, tc.want)
			}
		})
	}
}
