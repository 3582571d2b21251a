package outbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// frame is a mail's HTML as it may stand in a page of ours.
type frame struct {
	page   []byte
	policy string // for Content-Security-Policy
}

// framed prepares HTML that may say anything. What it could load, run or send is
// forbidden by the policy, also where the address of the frame is opened by itself;
// its first style is allowed by its hash. Its links lead the whole window away: hardly
// a page shows itself in a frame.
func framed(source string) (frame, error) {
	document, err := html.ParseWithOptions(strings.NewReader(source), html.ParseOptionEnableScripting(false))
	if err != nil {
		return frame{}, err
	}
	var head, style *html.Node
	var remove []*html.Node
	for n := range document.Descendants() {
		switch {
		case n.Type != html.ElementNode:
		case n.DataAtom == atom.Base:
			remove = append(remove, n)
		case n.DataAtom == atom.Head && head == nil:
			head = n
		case n.DataAtom == atom.Style && n.Namespace == "" && style == nil:
			style = n
		}
		if n.Type == html.ElementNode {
			removeTarget(n)
		}
	}
	for _, n := range remove {
		n.Parent.RemoveChild(n)
	}
	head.InsertBefore(&html.Node{Type: html.ElementNode, DataAtom: atom.Base, Data: "base", Attr: []html.Attribute{{Key: "target", Val: "_top"}}}, head.FirstChild)
	f := frame{policy: "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-top-navigation-by-user-activation"}
	if style != nil {
		var text strings.Builder
		for n := range style.ChildNodes() {
			text.WriteString(n.Data)
		}
		sum := sha256.Sum256([]byte(text.String()))
		f.policy += "; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	var page bytes.Buffer
	if err := html.Render(&page, document); err != nil {
		return frame{}, err
	}
	f.page = page.Bytes()
	return f, nil
}

// removeTarget leaves the choice of the window to us.
func removeTarget(n *html.Node) {
	kept := n.Attr[:0]
	for _, a := range n.Attr {
		if a.Key != "target" && a.Key != "formtarget" {
			kept = append(kept, a)
		}
	}
	n.Attr = kept
}
