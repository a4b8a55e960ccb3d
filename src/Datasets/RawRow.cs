namespace FineTuneStudio.Datasets;

/// A row as it stands in the file. Column counts cells from 1; 0 is the whole row. Where Fault is set, the row cannot be taken.
public sealed record RawRow(long Line, IReadOnlyList<string> Cells, string? Fault = null, int Column = 0, string Found = "");

public static class DataLimits
{
    public const int CellCharacters = 1 << 20;
    public const int RowCharacters = 1 << 24;
    public const int FoundCharacters = 500;
    public const int LabelCharacters = 200;
    public const int Labels = 2000;
    public const int Columns = 1000;
    /// Rows that are held at once hold together no more than this and one row.
    public const int HeldCharacters = 1 << 23;
    /// What undecodable bytes become: no text holds this character.
    public const char Undecodable = '\uFFFF';

    /// JSON can write half of a surrogate pair, of which no text can be made.
    internal static string HalfCharacter(string what) => $"{what} holds half of a character, such as \\ud83d without the \\ude00 after it; write both halves, or the character itself.";

    public static string Clip(string text, int length = FoundCharacters)
    {
        text = text.Replace(Undecodable, '\uFFFD').Replace('\0', '\uFFFD');
        return text.Length <= length ? text : string.Concat(text.AsSpan(0, char.IsHighSurrogate(text[length - 1]) ? length - 1 : length), "…");
    }
}
