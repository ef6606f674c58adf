package kernels

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func TestParseRuns(t *testing.T) {
	for _, row := range []struct {
		name string
		text string
		want []Run
	}{
		{"nothing", "", nil},
		{"noise only", "ACPI: table\n", nil},
		{
			"two", "noise\n@@@ start a\nPASS\n\n@@@ end 1500 ok\n\n@@@ start b\nFAIL\n\n@@@ end 10 exit status 1\n",
			[]Run{
				{Name: "a", Output: []byte("PASS\n"), Result: "ok", Took: 1500 * time.Millisecond},
				{Name: "b", Output: []byte("FAIL\n"), Result: "exit status 1", Took: 10 * time.Millisecond},
			},
		},
		{
			"crash", "\n@@@ start a\n=== RUN Test",
			[]Run{{Name: "a", Output: []byte("=== RUN Test"), Result: "it has no end"}},
		},
		{
			"crash in the mark", "\n@@@ start a\nPASS\n\n@@@ end 1",
			[]Run{{Name: "a", Output: []byte("PASS\n"), Result: "", Took: time.Millisecond}},
		},
		{"end of nothing", "\n@@@ end 1 ok\n", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			if diff := cmp.Diff(row.want, ParseRuns([]byte(row.text))); diff != "" {
				t.Errorf("%q (-want +got):\n%s", row.text, diff)
			}
		})
	}
}

// What the machine writes is what the host reads.
func TestMarks(t *testing.T) {
	var text bytes.Buffer
	const out = "no newline at the end"
	want := []Run{{Name: "a", Output: []byte(out), Result: "signal: killed", Took: 2 * time.Second}}
	testns.Must(t, Start(&text, "a"))
	text.WriteString(out)
	testns.Must(t, End(&text, want[0].Result, want[0].Took))
	if diff := cmp.Diff(want, ParseRuns(text.Bytes())); diff != "" {
		t.Errorf("%q (-want +got):\n%s", text.Bytes(), diff)
	}
}
