using FineTuneStudio.Bench;

return args switch
{
    ["tokenizer", .. var rest] => MeasureTokenizer.Run(rest),
    _ => Usage(),
};

static int Usage()
{
    Console.Error.WriteLine("dotnet run -c Release --project bench/FineTuneStudio.Bench tokenizer [folder with tokenizer files] [text file, one text a line]");
    return 2;
}
