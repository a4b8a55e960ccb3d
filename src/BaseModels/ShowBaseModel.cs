using System.Globalization;
using FineTuneStudio.Projects;
using FineTuneStudio.Ui;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.BaseModels;

/// A base model with the card that came in its folder; null where it has none.
public sealed record BaseModelView(BaseModel Model, IReadOnlyList<MarkdownBlock>? Card, IReadOnlyList<CardCurve> Curves);

/// A column of losses in a card's table whose first column is Step.
public sealed record CardCurve(string Name, IReadOnlyList<(double Step, double Loss)> Points);

public sealed class ShowBaseModel(IDbContextFactory<StudioDb> databases, ProjectAccess access, StudioFolder folder)
{
    /// A card is a few pages; what is longer is cut.
    private const int MostCharacters = 200_000;

    /// Null where the project has no such base model.
    [Needs(Permission.ViewProject)]
    public async Task<BaseModelView?> Handle(string projectId, int model, CancellationToken cancel = default)
    {
        await access.Require(projectId, Permission.ViewProject, cancel);
        await using var db = await databases.CreateDbContextAsync(cancel);
        if (await db.BaseModels.AsNoTracking().SingleOrDefaultAsync(m => m.ProjectId == projectId && m.Number == model, cancel) is not { } found) return null;
        var file = Path.Combine(folder.BaseModel(found.StoredAs), "README.md");
        if (!File.Exists(file)) return new(found, null, []);
        var text = new char[MostCharacters];
        using var reader = new StreamReader(file);
        var card = Markdown.Read(new string(text, 0, await reader.ReadBlockAsync(text, cancel)));
        return new(found, card, [.. card.OfType<MarkdownTable>().SelectMany(Curves)]);
    }

    /// Of a table with a first column “Step” every column that ends in “loss”.
    internal static IEnumerable<CardCurve> Curves(MarkdownTable table)
    {
        string Head(int column) => Markdown.Plain(table.Head[column]);
        if (!Head(0).Equals("step", StringComparison.OrdinalIgnoreCase)) yield break;
        for (var column = 1; column < table.Head.Count; column++)
        {
            if (!Head(column).EndsWith("loss", StringComparison.OrdinalIgnoreCase)) continue;
            var points = table.Rows.Select(r => (Step: Number(r[0]), Loss: Number(r[column]))).Where(p => double.IsFinite(p.Step) && double.IsFinite(p.Loss)).ToList();
            if (points.Count > 1) yield return new(Head(column), points);
        }
    }

    private static double Number(IReadOnlyList<MarkdownPiece> cell) =>
        double.TryParse(Markdown.Plain(cell), NumberStyles.Float | NumberStyles.AllowThousands, CultureInfo.InvariantCulture, out var number) ? number : double.NaN;
}
