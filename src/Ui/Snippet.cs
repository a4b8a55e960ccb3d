namespace FineTuneStudio.Ui;

/// A part of a long text around a place in it, with dots where it was cut; From is where it begins in the whole.
public sealed record Snippet(string Text, int From, int To)
{
    private const string Dots = "… ";

    public static Snippet Around(string text, int start, int end, int longest)
    {
        if (text.Length <= longest) return new(text, 0, text.Length);
        var from = Math.Clamp((start + end - longest) / 2, 0, Math.Max(0, Math.Min(start, text.Length - longest)));
        var to = Math.Min(text.Length, from + longest);
        if (from > 0 && text.IndexOf(' ', from) is >= 0 and var blank && blank < start) from = blank + 1;
        if (from > 0 && char.IsLowSurrogate(text[from])) from--;
        if (to < text.Length && char.IsLowSurrogate(text[to])) to--;
        return new((from > 0 ? Dots : "") + text[from..to] + (to < text.Length ? " …" : ""), from, to);
    }

    /// A mark of the whole text where it stands in the snippet; null where it is not in it.
    public MarkedText.Marking? Mark(int start, int end, string label, double? probability = null)
    {
        var shift = (From > 0 ? Dots.Length : 0) - From;
        return start >= From && end <= To && end > start ? new(start + shift, end + shift, label, probability) : null;
    }
}
