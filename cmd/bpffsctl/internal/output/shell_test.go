package output

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestQuote(t *testing.T) {
	for _, tt := range []struct{ s, want string }{
		{"/sys/fs/bpf/tc/globals/policy_00042", "/sys/fs/bpf/tc/globals/policy_00042"},
		{"/a b", "'/a b'"},
		{"/$(reboot)", "'/$(reboot)'"},
		{"/it's", `'/it'\''s'`},
		{"/a\x1b[31m;b!", `"$(printf %b '/a\0033\013331m\0073b\0041')"`},
		{"/a\n", `/a"${IFS#??}"`},
		{"", "''"},
		{"\x00", "''"},
	} {
		if got := Quote(tt.s); got != tt.want {
			t.Errorf("Quote(%q): got %s, want %s", tt.s, got, tt.want)
		}
	}
	if got, want := Command("umount", "/sys/fs/bpf"), "umount /sys/fs/bpf"; got != want {
		t.Errorf("got %s, want %s, as a person would type it", got, want)
	}
}

// A line means to every shell the words that it was made of, and nothing in it is
// more than text to a terminal.
func TestCommand(t *testing.T) {
	all := make([]byte, 0, 255)
	for c := 1; c <= 255; c++ {
		all = append(all, byte(c))
		mean(t, "/a"+string([]byte{byte(c)})+"b", string([]byte{byte(c)}))
	}
	mean(t, string(all), "plain", "", "a b", "it's", "$(reboot)", "a;b", "é", "-x\n", "\n\n", "a\nb", "a\n\n", "'\n", "%s\x1b", `\x1b`, `a\0033`, `\c`+"\a", "!!", "!\a")
	for _, s := range hostile() {
		mean(t, s)
	}
}

func FuzzCommand(f *testing.F) {
	for _, s := range hostile() {
		f.Add(s, "b")
	}
	f.Fuzz(func(t *testing.T, a, b string) { mean(t, a, b) })
}

// mean wants the line of the words to mean them to every shell that is here. The sh
// of some distributions is bash, that of others dash.
func mean(t *testing.T, words ...string) {
	t.Helper()
	line := Command(words...)
	wantPrintable(t, line)
	var want strings.Builder
	for _, w := range words {
		want.WriteString(strings.ReplaceAll(w, "\x00", "") + "\x00")
	}
	for _, shell := range shells() {
		cmd := exec.Command(shell, "-c", "printf '%s\\0' "+line)
		if filepath.Base(shell) == "busybox" {
			cmd.Args = append([]string{shell, "sh"}, cmd.Args[1:]...)
		}
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != want.String() {
			t.Errorf("%s takes %s for %q (%v), want %q", shell, line, out, err, words)
		}
	}
}

// shells returns the shells that are here, each once: sh is a link to another.
func shells() (all []string) {
	for _, name := range []string{"sh", "dash", "bash", "zsh", "ksh", "busybox"} {
		shell, err := exec.LookPath(name)
		if err == nil {
			shell, err = filepath.EvalSymlinks(shell)
		}
		if err == nil && !slices.Contains(all, shell) {
			all = append(all, shell)
		}
	}
	return all
}
