using System.Text.RegularExpressions;

namespace FineTuneStudio.Ui;

/// A piece of a line: Text with what it is, a link where Href is set. Pieces of strong or linked text lie inside.
public sealed record MarkdownPiece(string Text, MarkdownKind Kind = MarkdownKind.Text, IReadOnlyList<MarkdownPiece>? Inside = null, string? Href = null);

public enum MarkdownKind { Text, Strong, Emphasis, Code, Link }

public abstract record MarkdownBlock;
public sealed record MarkdownHeading(int Level, IReadOnlyList<MarkdownPiece> Line) : MarkdownBlock;
public sealed record MarkdownParagraph(IReadOnlyList<MarkdownPiece> Line) : MarkdownBlock;
public sealed record MarkdownList(bool Numbered, IReadOnlyList<IReadOnlyList<MarkdownPiece>> Items) : MarkdownBlock;
public sealed record MarkdownCode(string Text) : MarkdownBlock;
/// Every row has as many cells as the head.
public sealed record MarkdownTable(IReadOnlyList<IReadOnlyList<MarkdownPiece>> Head, IReadOnlyList<IReadOnlyList<IReadOnlyList<MarkdownPiece>>> Rows) : MarkdownBlock;

/// The part of CommonMark, with GitHub's tables, that model cards are written in. The text may be a stranger's: nothing of it becomes markup by itself, HTML stays text, pictures
/// become their words, and only http and https addresses become links.
public static partial class Markdown
{
    private const int DeepestInside = 4;

    /// Front matter between two lines “---” at the beginning is left out.
    public static IReadOnlyList<MarkdownBlock> Read(string text)
    {
        var lines = Comments().Replace(text.ReplaceLineEndings("\n"), "").Split('\n');
        var blocks = new List<MarkdownBlock>();
        var at = 0;
        if (lines[0].TrimEnd() == "---" && Array.FindIndex(lines, 1, l => l.TrimEnd() == "---") is > 0 and var end) at = end + 1;
        while (at < lines.Length)
        {
            var line = lines[at];
            if (line.Trim().Length == 0) at++;
            else if (line.TrimStart().StartsWith("```", StringComparison.Ordinal))
            {
                var close = Array.FindIndex(lines, at + 1, l => l.Trim() == "```") is >= 0 and var found ? found : lines.Length;
                blocks.Add(new MarkdownCode(string.Join('\n', lines[(at + 1)..close])));
                at = Math.Min(close + 1, lines.Length);
            }
            else if (Heading().Match(line) is { Success: true } heading)
            {
                blocks.Add(new MarkdownHeading(heading.Groups[1].Length, Pieces(heading.Groups[2].Value.Trim().TrimEnd('#').Trim())));
                at++;
            }
            else if (line.Contains('|') && at + 1 < lines.Length && Ruler().IsMatch(lines[at + 1]) && lines[at + 1].Contains('-'))
            {
                var head = Cells(line);
                var rows = new List<IReadOnlyList<IReadOnlyList<MarkdownPiece>>>();
                for (at += 2; at < lines.Length && lines[at].Contains('|'); at++)
                    rows.Add([.. Cells(lines[at]).Concat(Enumerable.Repeat<IReadOnlyList<MarkdownPiece>>([], head.Count)).Take(head.Count)]);
                blocks.Add(new MarkdownTable(head, rows));
            }
            else if (Item().Match(line) is { Success: true } first)
            {
                var items = new List<string>();
                var numbered = char.IsAsciiDigit(first.Groups[1].Value[0]);
                for (; at < lines.Length && lines[at].Trim().Length > 0 && !Heading().IsMatch(lines[at]); at++)
                    if (Item().Match(lines[at]) is { Success: true } item) items.Add(item.Groups[2].Value);
                    else items[^1] += " " + lines[at].Trim();
                blocks.Add(new MarkdownList(numbered, [.. items.Select(i => Pieces(i))]));
            }
            else
            {
                var paragraph = new List<string>();
                for (; at < lines.Length && lines[at].Trim().Length > 0 && !Heading().IsMatch(lines[at]) && !Item().IsMatch(lines[at]) && !lines[at].TrimStart().StartsWith("```", StringComparison.Ordinal); at++)
                    paragraph.Add(lines[at].Trim());
                blocks.Add(new MarkdownParagraph(Pieces(string.Join(' ', paragraph))));
            }
        }
        return blocks;
    }

    /// What is to be read of it, without its marks.
    public static string Plain(IEnumerable<MarkdownPiece> line) => string.Concat(line.Select(p => p.Inside is { } inside ? Plain(inside) : p.Text));

    private static IReadOnlyList<IReadOnlyList<MarkdownPiece>> Cells(string line)
    {
        var row = line.Trim();
        if (row.StartsWith('|')) row = row[1..];
        if (row.EndsWith('|') && !row.EndsWith("\\|", StringComparison.Ordinal)) row = row[..^1];
        return [.. row.Replace("\\|", "\0").Split('|').Select(c => Pieces(c.Replace('\0', '|').Trim()))];
    }

    private static IReadOnlyList<MarkdownPiece> Pieces(string line, int depth = 0)
    {
        var pieces = new List<MarkdownPiece>();
        var at = 0;
        foreach (Match found in Marks().Matches(line))
        {
            if (found.Index > at) pieces.Add(new(line[at..found.Index]));
            at = found.Index + found.Length;
            IReadOnlyList<MarkdownPiece> Inside(string text) => depth < DeepestInside ? Pieces(text, depth + 1) : [new(text)];
            if (found.Groups["code"] is { Success: true } code) pieces.Add(new(code.Value, MarkdownKind.Code));
            else if (found.Groups["strong"] is { Success: true } strong) pieces.Add(new(strong.Value, MarkdownKind.Strong, Inside(strong.Value)));
            else if (found.Groups["em"] is { Success: true } em) pieces.Add(new(em.Value, MarkdownKind.Emphasis, Inside(em.Value)));
            else if (found.Groups["address"] is { Success: true } address) pieces.Add(Link([new(address.Value)], address.Value));
            else if (found.Groups["escaped"] is { Success: true } escaped) pieces.Add(new(escaped.Value));
            else pieces.Add(found.Groups["picture"].Length > 0 ? new(found.Groups["words"].Value) : Link(Inside(found.Groups["words"].Value), found.Groups["href"].Value));
        }
        if (at < line.Length) pieces.Add(new(line[at..]));
        return pieces;
    }

    private static MarkdownPiece Link(IReadOnlyList<MarkdownPiece> words, string href) =>
        Uri.TryCreate(href, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https" ? new(Plain(words), MarkdownKind.Link, words, uri.AbsoluteUri) : new(Plain(words), Inside: words);

    [GeneratedRegex(@"^(#{1,6})\s+(.*)$", RegexOptions.NonBacktracking)]
    private static partial Regex Heading();

    [GeneratedRegex(@"^\s*([-*+]|\d{1,3}[.)])\s+(.*)$", RegexOptions.NonBacktracking)]
    private static partial Regex Item();

    [GeneratedRegex(@"^\s*[|:\- ]+\s*$", RegexOptions.NonBacktracking)]
    private static partial Regex Ruler();

    [GeneratedRegex(@"<!--(?:[^-]|-[^-]|--[^>])*-->", RegexOptions.NonBacktracking)]
    private static partial Regex Comments();

    [GeneratedRegex(@"`(?<code>[^`]+)`|\*\*(?<strong>(?:[^*]|\*[^*])+)\*\*|\*(?<em>[^*\s][^*]*)\*|(?<picture>!?)\[(?<words>[^\]]*)\]\((?<href>[^)\s]*)[^)]*\)|<(?<address>https?://[^>\s]+)>|\\(?<escaped>[\\`*_{}\[\]()#+.!|-])", RegexOptions.NonBacktracking)]
    private static partial Regex Marks();
}
