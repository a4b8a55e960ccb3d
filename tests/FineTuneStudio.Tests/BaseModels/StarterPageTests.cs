using FineTuneStudio.Tests.Runs;
using FineTuneStudio.Tests.Shell;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace FineTuneStudio.Tests.BaseModels;

/// A starter in the browser: in the catalogue, its card, and where a run is begun. Small weights stand in for those of the encoder; the card is its own, with numbers where they are still to be measured.
[Trait("Cost", "Slow")]
public sealed class StarterPageTests(Browser browser) : IClassFixture<Browser>
{
    [Fact]
    public async Task A_starter_is_marked_in_the_catalogue_with_its_origin_opens_its_card_and_lends_a_run_its_learning_rate()
    {
        var starters = Directory.CreateTempSubdirectory("fts-starters-").FullName;
        var encoder = Directory.CreateDirectory(Path.Combine(starters, "encoder")).FullName;
        foreach (var file in Directory.EnumerateFiles(PracticeModel.Folder)) File.Copy(file, Path.Combine(encoder, Path.GetFileName(file)));
        var card = (await File.ReadAllTextAsync(Path.Combine(ContentRoot.Find([]), "starters", "encoder", "README.md")))
            .Replace("| MEASURE | MEASURE | MEASURE | MEASURE |", "| 1,000 | 6.91 | 520 | 14 % |\n| 2,000 | 6.12 | 270 | 19 % |\n| 3,000 | 5.48 | 150 | 25 % |");
        await File.WriteAllTextAsync(Path.Combine(encoder, "README.md"), card);
        var app = new StudioFixture { Settings = { ["BaseModels:StartersFolder"] = starters } };
        await app.InitializeAsync();
        try
        {
            var engineer = await app.NewPerson("Engineer");
            var project = await app.NewProject(engineer, "Starts from it");
            await using (var db = app.Db) await Scene.FreezeRows(db, project.Id, engineer.Id, 120);
            var page = await browser.Open(app.Url);
            List<string> errors = [];
            page.Console += (_, m) => { if (m.Type == "error") errors.Add(m.Text); };
            await page.SignIn(engineer.Mail);

            await page.GotoAsync($"/p/{project.Id}/base-models");
            await Expect(page.GetByText("Starter", new() { Exact = true })).ToBeVisibleAsync();
            await Expect(page.GetByText("pretrained by this app's own engine, on openly licensed text")).ToBeVisibleAsync();
            await Expect(page.GetByText("cc-by-sa-4.0")).ToBeVisibleAsync();
            await Look.At(page, "starter-catalogue");
            Assert.Empty(await PageFaults.Find(page));

            await page.GetByRole(AriaRole.Link, new() { Name = "Model card of Starter encoder" }).ClickAsync();
            await page.ComesTo("/base-models/1$");
            await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Starter encoder Starter Can be trained here" })).ToBeVisibleAsync();
            var curve = page.GetByRole(AriaRole.Img);
            await Expect(curve).ToHaveCountAsync(1);
            Assert.StartsWith("Held-out loss: ", await curve.GetAttributeAsync("aria-label"));
            await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "What it is not good for", Exact = true })).ToBeVisibleAsync();
            await Expect(page.GetByText("Contains text from OpenStax books")).ToBeVisibleAsync();
            await Expect(page.GetByText("./studio pretrain --text")).ToBeVisibleAsync();
            await Expect(page.GetByRole(AriaRole.Link, new() { Name = "CC BY-SA 4.0", Exact = true })).ToHaveAttributeAsync("href", "https://creativecommons.org/licenses/by-sa/4.0/");
            await Look.At(page, "starter-card");
            foreach (var width in new[] { 1280, 390 })
            {
                await page.SetViewportSizeAsync(width, 900);
                Assert.Empty(await PageFaults.Find(page));
            }
            await page.SetViewportSizeAsync(1280, 900);

            await engineer.AddPracticeModel(project.Id);
            await page.GotoAsync($"/p/{project.Id}/runs/new");
            var (model, rate) = (page.GetByLabel("Base model", new() { Exact = true }), page.GetByLabel("Learning rate", new() { Exact = true }));
            await Expect(model.Locator("option")).ToHaveTextAsync(["Practice model (random weights)", "Starter encoder (starter)"]);
            await Expect(rate).ToHaveValueAsync("5e-5");
            await model.SelectOptionAsync("1");
            // A rate that nobody chose goes along with the base model.
            await Expect(rate).ToHaveValueAsync("5e-4");
            await Expect(page.GetByText("As this base model suggests.")).ToBeVisibleAsync();
            await rate.FillAsync("2e-4");
            await Expect(page.GetByRole(AriaRole.Button, new() { Name = "as this base model suggests" })).ToBeVisibleAsync();
            await model.SelectOptionAsync("2");
            await Expect(page.GetByText("origin: random, not pretrained.")).ToBeVisibleAsync();
            await Expect(rate).ToHaveValueAsync("2e-4");
            await Look.At(page, "starter-new-run");
            Assert.Empty(errors);
        }
        finally
        {
            await ((IAsyncLifetime)app).DisposeAsync();
            Directory.Delete(starters, recursive: true);
        }
    }
}
