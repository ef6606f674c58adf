package output

import (
	"os/exec"
	"strings"
	"testing"
)

func TestQuote(t *testing.T) {
	for _, tt := range []struct{ s, want string }{
		{"/sys/fs/bpf/tc/globals/policy_00042", "/sys/fs/bpf/tc/globals/policy_00042"},
		{"/a b", "'/a b'"},
		{"/$(reboot)", "'/$(reboot)'"},
		{"/it's", `'/it'\''s'`},
		{"/a\x1b[31m;b", `$'/a\x1b\x5b31m\x3bb'`},
		{"", "''"},
	} {
		if got := Quote(tt.s); got != tt.want {
			t.Errorf("Quote(%q): got %s, want %s", tt.s, got, tt.want)
		}
	}
}

// A line means to a shell the words that it was made of.
func TestCommand(t *testing.T) {
	for _, words := range [][]string{{"plain", "/sys/fs/bpf", "a=b"}, {"", "a b", "it's", "$(reboot)", "a;b", "é", "-x\n"}} {
		line := "printf '%s\\0' " + Command(words...)
		out, err := exec.Command("bash", "-c", line).CombinedOutput()
		if want := strings.Join(words, "\x00") + "\x00"; err != nil || string(out) != want {
			t.Errorf("%s: got %q, %v, want %q", line, out, err, want)
		}
	}
	if got, want := Command("umount", "/sys/fs/bpf"), "umount /sys/fs/bpf"; got != want {
		t.Errorf("got %s, want %s, as a person would type it", got, want)
	}
}
