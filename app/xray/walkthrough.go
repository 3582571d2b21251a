package xray

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"videotutorials/app/web"
	"videotutorials/views"
)

// The documents that explain a way through the system, with the section that explains
// each kind of hop.
var walkthroughs = map[string]map[string]string{
	"walkthrough": {
		views.XRayRequest: "2", views.XRayCommand: "3", views.XRayDecision: "3", views.XRayEvent: "3", views.XRayReader: "5", views.XRayRow: "5", views.XRayFragment: "6",
	},
	"registration": {
		views.XRayRequest: "1", views.XRayCommand: "1", views.XRayDecision: "2", views.XRayEvent: "2", views.XRayReader: "4", views.XRayRow: "4", views.XRayFragment: "5",
	},
	"publishing": {
		views.XRayRequest: "1", views.XRayCommand: "2", views.XRayDecision: "2", views.XRayEvent: "3", views.XRayReader: "4", views.XRayRow: "4", views.XRayFragment: "4",
	},
}

// documentOf names the document that explains what a route sets off.
func documentOf(route string) string {
	switch {
	case strings.Contains(route, views.CreatorsPortalPath):
		return "publishing"
	case strings.Contains(route, views.RecordViewingPath("")):
		return "walkthrough"
	}
	return "registration" // and what else people do with their accounts, which goes the same way
}

func (d *drawing) link(kind string) string {
	return views.XRayWalkthroughPath(d.document) + "#step-" + walkthroughs[d.document][kind]
}

func (a *App) walkthrough(c echo.Context) error {
	document, ok := a.documents[c.Param("name")]
	if !ok {
		return web.NotFound("There is no such document.")
	}
	return web.Render(c, 200, views.XRayDocumentPage(web.Page(c, document.Title), document))
}

func readDocuments(files fs.FS) map[string]views.XRayDocument {
	documents := map[string]views.XRayDocument{}
	for name := range walkthroughs {
		if text, err := fs.ReadFile(files, "docs/"+name+".md"); err == nil {
			documents[name] = parse(string(text))
		}
	}
	return documents
}

var (
	mdLink  = regexp.MustCompile(`!?\[([^\]]*)\]\(([^)]*)\)`)
	stepped = regexp.MustCompile(`^(\d+)\. `)
)

// parse reads as much of Markdown as the walkthroughs use. Links lead to files of the
// repository, which a reader of the page may not have: their texts stay, and pictures go.
func parse(text string) (d views.XRayDocument) {
	section := views.XRaySection{ID: "top"}
	var block []string
	code, pre := false, false
	end := func() {
		if len(block) > 0 {
			separator := " "
			if pre {
				separator = "\n"
			}
			section.Blocks = append(section.Blocks, views.XRayBlock{Preformatted: pre, Text: strings.Join(block, separator)})
		}
		block, pre = nil, false
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			end()
			code = !code
			pre = code
		case code:
			block = append(block, line)
		case strings.HasPrefix(line, "# "):
			d.Title = strings.TrimPrefix(line, "# ")
		case strings.HasPrefix(line, "## "):
			end()
			d.Sections = append(d.Sections, section)
			title := strings.TrimPrefix(line, "## ")
			section = views.XRaySection{Title: title, ID: fmt.Sprintf("part-%d", len(d.Sections))}
			if number := stepped.FindStringSubmatch(title); number != nil {
				section.ID = "step-" + number[1]
			}
		case line == "":
			end()
		default:
			table := strings.HasPrefix(line, "|") || strings.HasPrefix(line, "- ") || len(block) > 0 && pre
			if table != pre {
				end()
			}
			pre = table
			if line = mdLink.ReplaceAllStringFunc(line, linkText); line != "" {
				block = append(block, line)
			}
		}
	}
	end()
	d.Sections = append(d.Sections, section)
	d.Sections = slices.DeleteFunc(d.Sections, func(s views.XRaySection) bool { return len(s.Blocks) == 0 })
	return d
}

func linkText(link string) string {
	if strings.HasPrefix(link, "!") {
		return ""
	}
	return mdLink.FindStringSubmatch(link)[1]
}
