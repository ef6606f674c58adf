package output

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Columns is a table that rows are added to.
type Columns struct {
	headers []string
	rows    [][]string
}

// NewColumns returns a table with the headers, if there are any.
func NewColumns(headers ...string) *Columns {
	return &Columns{headers: headers}
}

// Row adds a row. Cells are cleaned; an empty one is shown as a dash, so that
// columns can be told apart by white space.
func (c *Columns) Row(cells ...string) {
	for i, cell := range cells {
		cells[i] = Clean(cell)
		if cell == "" {
			cells[i] = "-"
		}
	}
	c.rows = append(c.rows, cells)
}

// Print prints the table, each line after indent. Without rows it prints nothing.
func (c *Columns) Print(w io.Writer, indent string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(c.headers) > 0 && len(c.rows) > 0 {
		fmt.Fprintln(tw, indent+strings.Join(c.headers, "\t"))
	}
	for _, row := range c.rows {
		fmt.Fprintln(tw, indent+strings.Join(row, "\t"))
	}
	return tw.Flush()
}

// ID returns an endpoint ID as it stands in names; that of no endpoint is empty.
func ID(id uint16) string {
	if id == 0 {
		return ""
	}
	return fmt.Sprintf("%05d", id)
}

// Count returns the number with the word for one or for several.
func Count(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

// Bytes returns a size in the unit that suits it, of three digits or four.
func Bytes(n uint64) string {
	const step = 1024
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	size, unit := float64(n), 0
	for size >= step && unit < len(units)-1 {
		size /= step
		unit++
	}
	if unit > 0 && size < 10 {
		return fmt.Sprintf("%.1f%s", size, units[unit])
	}
	return fmt.Sprintf("%.0f%s", size, units[unit])
}

// Age returns how long something is there, in the unit that suits it.
func Age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 0: // the clock was set back
		return "0s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/day)
}
