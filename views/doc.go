// Package views turns data into HTML and does nothing else: every function here gives the same
// markup for the same arguments. A function whose name ends in Page is a whole page, any other
// is a fragment. The same fragment stands in the page, answers a form that the script sent, and
// is pushed to open pages, so the three never differ.
package views
