package admin

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/adminsummary"
	"videotutorials/app/contracts"
	"videotutorials/app/web"
	"videotutorials/views"
)

func (a *App) contractRoutes(g *echo.Group) {
	a.page(g, views.AdminContractsPath, a.contracts)
	a.page(g, views.AdminAsyncAPIPath, a.asyncAPI)
}

// contracts shows every type of message, and how many of each version are in the store.
func (a *App) contracts(c echo.Context) error {
	stored, err := a.Summary.Types(c.Request().Context(), "", firstNames)
	if err != nil {
		return err
	}
	var shown views.AdminContracts
	for _, m := range contracts.All() {
		contract := views.AdminContract{
			Type: m.Type, Category: string(m.Category), Kind: m.Kind, Package: m.Package, Doc: m.Doc,
			Writers: m.Writers, Handlers: m.Handlers, SchemaVersion: m.SchemaVersion,
		}
		for _, f := range m.Fields {
			contract.Fields = append(contract.Fields, views.AdminContractField{Name: f.Name, Type: f.Type, Doc: f.Doc, Masked: f.Masked, Optional: f.Optional})
		}
		var example bytes.Buffer
		if len(m.Example) > 0 {
			if err := json.Indent(&example, m.Example, "", "  "); err != nil {
				return err
			}
		}
		contract.Example = example.String()
		shown.Contracts = append(shown.Contracts, contract)
	}
	for _, t := range stored {
		if !countStored(shown.Contracts, t) {
			shown.Unknown = append(shown.Unknown, views.AdminUnknownType{Type: t.Type, Category: string(t.Category), Messages: t.Messages})
		}
	}
	return web.Render(c, http.StatusOK, views.AdminContractsPage(web.Page(c, "Contracts"), shown))
}

// countStored adds what is stored of a type to its contract; there may be none.
func countStored(all []views.AdminContract, t adminsummary.Type) bool {
	for i := range all {
		if all[i].Type == t.Type && all[i].Category == string(t.Category) {
			all[i].Versions = append(all[i].Versions, views.AdminVersion{Version: t.SchemaVersion, Messages: t.Messages})
			return true
		}
	}
	return false
}

// asyncAPI answers with the document that `make contracts` makes.
func (a *App) asyncAPI(c echo.Context) error {
	c.Response().Header().Set(echo.HeaderContentDisposition, `attachment; filename="asyncapi.json"`)
	return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, contracts.Document())
}
